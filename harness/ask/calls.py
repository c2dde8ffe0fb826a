"""Code that a page recommends, or that its words amount to, from calls.yaml."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, RootModel

from harness import home
from harness.ask import yaml_file
from harness.ask.yaml_file import Row


class Call(Row):
    """Python that works if it ends without an error. It needs no network and no model."""

    code: str
    needs: list[str] = Field(min_length=1)
    """Distributions; where one is missing, nothing is tried and nothing is said."""


class _File(RootModel[dict[str, Call]]):
    pass


def path() -> Path:
    return home.root() / "calls.yaml"


def load(file: Path | None = None) -> dict[str, Call]:
    """All calls by name. Raises BadFile."""
    return yaml_file.read(file or path(), _File).root
