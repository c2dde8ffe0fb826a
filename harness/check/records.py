"""Which records lie in a file or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from harness.check import runs
from harness.errors import BadFile

Kind = Literal["run", "verdict", "reproduction"]


def find(path: Path) -> list[tuple[Kind, Path, Path]]:
    """Each record in `path` with its kind and the results folder it lies in; a run by its folder.

    `path`: a file of a record, a run's folder, or a folder with any of them below. Raises BadFile.
    """
    if not path.exists():
        raise BadFile(f"{path}: no such file")
    path = path.resolve()
    run_file = path.is_file() and path.name in runs.FILES
    found = sorted(_below(path.parent) if run_file else _below(path), key=lambda one: one[1])
    if not found:
        raise BadFile(
            f"{path}: no record; they are results/verdicts/PAGE/CLAIM.json and results/MACHINE/RUN/"
        )
    return found


def _below(path: Path) -> Iterator[tuple[Kind, Path, Path]]:
    for file in [path] if path.is_file() else path.rglob("*.json"):
        parents = file.parents
        if any(part.startswith(".") for part in file.relative_to(path).parts):
            continue  # a run under way
        if file.name == "run.json":
            yield "run", file.parent, parents[2]
        elif len(parents) > 3 and parents[1].name == "verdicts":
            yield "verdict", file, parents[2]
        elif len(parents) > 3 and parents[2].name == "verdicts":
            yield "reproduction", file, parents[3]
