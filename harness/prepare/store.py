"""The cache of artifacts: a folder per artifact, and beside the file a record of what it is.

Promised, and tested in tests/prepare/test_store.py:
- a file under its own name is whole: it is written in a `.part-` folder beside it, synced, hashed
  and moved; what a killed run left behind goes with the next one;
- two processes that want the same file write it once;
- a file that changed since is noticed by size and modification time, then by its sha256;
- room is checked before the first byte, and a disk that fills up on the way is cleaned again.

Not promised: a change that keeps both size and modification time goes unnoticed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import home
from harness.ask.yaml_file import Row
from harness.errors import BadFile, MissingError, NotEnough
from harness.prepare import lock

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and the bytes done and in all; 0 in all means that it waits."""

_PART = ".part-"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ELSEWHERE = "set XDG_CACHE_HOME to a folder that"


def quiet(what: str, done: int, total: int) -> None:
    """The Progress that says nothing."""


@dataclass(frozen=True)
class Prepared:
    """A file on disk and what it holds."""

    path: Path
    sha256: str
    bytes: int


class _Record(Row):
    """The JSON beside a file. `identity` is what the file was made from."""

    identity: str
    sha256: str
    bytes: int
    mtime_ns: int


def folder(*names: str) -> Path:
    """The folder `names` in the cache. Raises BadFile for a name that would lead elsewhere."""
    for name in names:
        if name in ("", ".", "..") or name != Path(name).name:
            raise BadFile(f"'{name}' cannot name a folder or file of the cache")
    return home.cache().joinpath(*names)


@dataclass(frozen=True)
class Slot:
    """The place of one file in the cache, and the identity that its content must have."""

    path: Path
    identity: str

    def stored(self) -> Prepared | None:
        """The file, if it is there, whole and of this identity."""
        try:
            record = _Record.model_validate_json(self._record_path.read_bytes())
            stat = self.path.stat()
        except (OSError, ValueError):
            return None
        if record.identity != self.identity or record.bytes != stat.st_size:
            return None
        if record.mtime_ns != stat.st_mtime_ns:
            if _sha256(self.path) != record.sha256:
                return None
            with suppress(OSError):  # a cache that is only readable still serves
                self._note(record.sha256)
        return Prepared(self.path, record.sha256, record.bytes)

    def fill(self, write: Callable[[Path], str], room: int, progress: Progress) -> Prepared:
        """The file, made by `write` unless another process makes it first.

        `write` gets a path to write to, in a folder of its own that is removed afterwards, and
        returns the sha256 of what it wrote. `room`: the most bytes that it takes on disk.
        """
        place = self.path.parent
        with _disk_errors(place, room):
            place.mkdir(parents=True, exist_ok=True)
            waiting = f"waiting for another process that prepares {self.path.name}"
            with lock.held(place / ".lock", lambda: progress(waiting, 0, 0)):
                # Whoever holds the lock knows that nobody writes here: these are a dead run's.
                for left in place.glob(_PART + "*"):
                    _remove(left)
                return self.stored() or self._make(write, room)

    def _make(self, write: Callable[[Path], str], room: int) -> Prepared:
        place = self.path.parent
        there = shutil.disk_usage(place).free
        if there < room:
            raise NotEnough("disk", room, there, f"free some, or {_ELSEWHERE} has room")
        scratch = Path(tempfile.mkdtemp(prefix=_PART, dir=place))
        try:
            part = scratch / self.path.name
            digest = write(part)
            with part.open("r+b") as file:
                os.fsync(file.fileno())
            part.replace(self.path)
            self._note(digest)
        finally:
            _remove(scratch)
        return Prepared(self.path, digest, self.path.stat().st_size)

    def _note(self, digest: str) -> None:
        """Records the file as it lies there, with this sha256."""
        stat = self.path.stat()
        record = _Record(
            identity=self.identity,
            sha256=digest,
            bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
        )
        part = self.path.with_name(f"{_PART}{uuid.uuid4().hex}")
        part.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(self._record_path)

    @property
    def _record_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")


@contextmanager
def _disk_errors(place: Path, room: int) -> Iterator[None]:
    """What the system says about the disk, as errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            there = shutil.disk_usage(place).free
            advice = f"it filled up on the way; free some, or {_ELSEWHERE} has room"
            raise NotEnough("disk", room, there, advice) from error
        raise MissingError(
            f"cannot write in {place}: {error.strerror or error}; {_ELSEWHERE} can be written"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
