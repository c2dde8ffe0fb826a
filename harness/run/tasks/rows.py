"""Rows of a task's data as dictionaries, whatever file of a wheel or of a hub they lie in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile, MissingError
from harness.prepare.data import files_of
from harness.run.tasks import wheel_data

Rows = list[dict[str, Any]]


def read(task: Task, data: Path, part: str) -> Rows:
    """The rows of the files that play `part`. Raises BadFile for what is no table."""
    if part not in task.source.members:
        raise BadFile(f"task {task.name}: its source has no member {part}")
    if isinstance(task.source, HubRows):
        files = files_of(task.source, data, part)
        return [row for name, path in files.items() for row in _parse(name, _bytes(name, path))]
    name = str(task.source.members[part])
    with wheel_data.opened(task, data) as archive:
        return _parse(name, archive.read(name))


def _bytes(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{name}: cannot be read: {error.strerror}") from error


def column(row: dict[str, Any], name: str, where: str) -> Any:
    """A column, or with a point in its name what lies inside one. Raises BadFile."""
    found: Any = row
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            raise BadFile(f"{where}: no column {name}")
        found = found[part]
    return found


def _parse(name: str, raw: bytes) -> Rows:
    if name.endswith(".gz"):
        name, raw = name.removesuffix(".gz"), gzip.decompress(raw)
    try:
        found = _READERS[PurePosixPath(name).suffix](raw)
    except MissingError:
        raise
    except Exception as error:  # four parsers of foreign bytes: each has errors of its own
        raise BadFile(f"{name}: {type(error).__name__}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadFile(f"{name}: not a list of rows")
    return found


def _json_lines(raw: bytes) -> Rows:
    # Not splitlines: that also splits at characters which JSON allows inside a string.
    return [json.loads(line) for line in raw.decode().split("\n") if line.strip()]


def _csv(raw: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))


def parquet() -> Any:
    """The module that reads parquet files. Raises MissingError."""
    try:
        from pyarrow import parquet as module
    except ImportError as error:
        raise MissingError(
            "these rows are a parquet file, which needs the package pyarrow; "
            "run: python -m pip install 'claimbench[parquet]'"
        ) from error
    return module


def _parquet(raw: bytes) -> Rows:
    rows: Rows = parquet().read_table(io.BytesIO(raw)).to_pylist()
    return rows


_READERS: dict[str, Callable[[bytes], Any]] = {
    ".csv": _csv,
    ".json": json.loads,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
