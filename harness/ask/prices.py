"""What hosted models cost and hold, from prices.yaml: each row with its source and its day."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, RootModel

from harness import home
from harness.ask import yaml_file
from harness.ask.yaml_file import Row


class Price(Row):
    """US dollars per million tokens, as `source` gave them on the day `as_of`."""

    input: float = Field(gt=0)
    output: float = Field(gt=0)
    context: int | None = Field(gt=0)
    """Tokens. Null: the source's figure is another version's, or missing."""
    function_calling: bool | None = None
    """Whether the source lists the service as taking tools. Null: it does not say, or was not read
    for that."""
    source: str
    as_of: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")


class _File(RootModel[dict[str, Price]]):
    pass


def path() -> Path:
    return home.root() / "prices.yaml"


def load(file: Path | None = None) -> dict[str, Price]:
    """All rows by service. Raises BadFile."""
    return yaml_file.read(file or path(), _File).root
