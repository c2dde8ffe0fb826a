"""Tables of questions about pictures, as hubs publish them: parquet files with encoded pictures.

A data set may take gigabytes, nearly all of it pictures. So the texts of all rows are read without
them, and then the pictures of the rows that are asked for: what stays in memory are those, and
while a row group is read, up to twice its size (its writer may have put it into one page).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadFile, MissingError
from harness.run.tasks import rows

_AT_A_TIME = 16
_BUFFER = 1 << 20
"""Without one the reader takes whole row groups into memory."""


@dataclass(frozen=True)
class TableRow:
    """A row's place, from 0 in its file, and what its columns say but for the picture."""

    file: str
    at: int
    texts: dict[str, Any]

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.file}, row {self.at}"


def texts(files: Mapping[str, Path], columns: Sequence[str], image: str) -> list[TableRow]:
    """All rows of the files, in their order. Raises BadFile, naming a column that is not there."""
    found = []
    for name, path in files.items():
        with _opened(name, path) as file:
            there = file.schema_arrow.names
            if missing := [one for one in (*columns, image) if one not in there]:
                raise BadFile(f"{name}: no column {missing[0]}; it has {', '.join(there)}")
            table = file.read(columns=list(columns)).to_pylist()
            found += [TableRow(name, at, row) for at, row in enumerate(table)]
    return found


def pictures(
    files: Mapping[str, Path], image: str, wanted: Sequence[TableRow]
) -> dict[tuple[str, int], bytes]:
    """The encoded picture of each wanted row, by file and place. Raises BadFile for one without."""
    found = {}
    for name, path in files.items():
        places = {row.at: row for row in wanted if row.file == name}
        with _opened(name, path) as file:
            for at, value in _values(file, image, places):
                found[name, at] = _encoded(value, places[at])
    return found


def _values(file: Any, image: str, places: Mapping[int, TableRow]) -> Iterator[tuple[int, Any]]:
    """Of the row groups that hold any of the places; the pictures beside them are let go."""
    first = 0
    for group in range(file.num_row_groups):
        count, at = file.metadata.row_group(group).num_rows, first
        if any(first <= place < first + count for place in places):
            for batch in file.iter_batches(_AT_A_TIME, row_groups=[group], columns=[image]):
                for value in batch.column(0):
                    if at in places:
                        yield at, value.as_py()
                    at += 1
        first += count


def _encoded(value: Any, row: TableRow) -> bytes:
    """A picture is its bytes, or as hubs' tools write it, a record that has them."""
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes) or not found:
        raise BadFile(f"{row.where}: no picture")
    return found


@contextmanager
def _opened(name: str, path: Path) -> Iterator[Any]:
    """The file, with complaints of its reader about foreign bytes turned into ours."""
    module = rows.parquet()
    try:
        with module.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            yield file
    except (BadFile, MissingError, MemoryError):
        raise
    except Exception as error:  # pyarrow has errors of many classes, OSError among them
        raise BadFile(f"{name}: {type(error).__name__}: {error}") from error
