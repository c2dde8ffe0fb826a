"""The cache of artifacts: a file or a folder each, and beside it a record of what it is.

Promised, and tested in tests/prepare/test_store.py:
- what lies under its own name is whole: it is written in a `.part-` folder beside it, synced,
  hashed and moved; what a killed run left behind goes with the next one;
- two processes that want the same artifact write it once;
- a file that changed since is noticed by size and modification time, then by its sha256; so is one
  that came or went in a folder;
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness import home, lock
from harness.ask.yaml_file import Row
from harness.errors import BadFile, MissingError, NotEnough

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and the bytes done and in all; 0 in all means that it waits."""

_PART = ".part-"
FULL = (errno.ENOSPC, errno.EDQUOT)
_ELSEWHERE = "set XDG_CACHE_HOME to a folder that"


def quiet(what: str, done: int, total: int) -> None:
    """The Progress that says nothing."""


@dataclass(frozen=True)
class Written:
    """What a source knows of what it wrote.

    `sha256` by file name, "" for an artifact of one file: what is in it is not read again.
    `revision` is the commit that the files came from, where they came from a repository.
    """

    sha256: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A file or folder on disk and what it holds.

    A folder's sha256 is that of the text which sha256sum prints for its files, sorted by name.
    """

    path: Path
    sha256: str
    bytes: int
    revision: str | None = None


class _File(Row):
    """One file as it was when it was hashed. `name` is empty for an artifact of one file."""

    name: str
    bytes: int
    mtime_ns: int
    sha256: str


class _Record(Row):
    """The JSON beside an artifact. `identity` is what it was made from."""

    identity: str
    files: list[_File]
    revision: str | None = None

    def prepared(self, path: Path) -> Prepared:
        size = sum(file.bytes for file in self.files)
        if [file.name for file in self.files] == [""]:
            return Prepared(path, self.files[0].sha256, size, self.revision)
        digest = folder_sha256({file.name: file.sha256 for file in self.files})
        return Prepared(path, digest, size, self.revision)


def folder_sha256(sha256: Mapping[str, str]) -> str:
    """The digest of a folder, from those of its files by name."""
    listing = "".join(f"{sha256[name]}  {name}\n" for name in sorted(sha256, key=PurePosixPath))
    return hashlib.sha256(listing.encode()).hexdigest()


def folder(*names: str) -> Path:
    """The folder `names` in the cache. Raises BadFile for a name that would lead elsewhere."""
    for name in names:
        if name in ("", ".", "..") or name != Path(name).name:
            raise BadFile(f"'{name}' cannot name a folder or file of the cache")
    return home.cache().joinpath(*names)


@dataclass(frozen=True)
class Slot:
    """The place of one artifact in the cache, and the identity that its content must have."""

    path: Path
    identity: str

    def stored(self) -> Prepared | None:
        """The artifact, if it is there, whole and of this identity."""
        try:
            record = _Record.model_validate_json(self._record_path.read_bytes())
            if record.identity != self.identity:
                return None
            known = {(file.name, file.bytes, file.mtime_ns): file.sha256 for file in record.files}
            there = _files(self.path, known)
        except (OSError, ValueError):
            return None
        if [(one.name, one.sha256) for one in there] != [
            (one.name, one.sha256) for one in record.files
        ]:
            return None
        if there != record.files:
            with suppress(OSError):  # a cache that is only readable still serves
                self._note(there, record.revision)
        return record.prepared(self.path)

    def fill(self, write: Callable[[Path], Written], room: int, progress: Progress) -> Prepared:
        """The artifact, made by `write` unless another process makes it first.

        `write` gets a path to write a file or folder to, in a folder of its own that is removed
        afterwards. `room`: the most bytes that it takes on disk.
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

    def _make(self, write: Callable[[Path], Written], room: int) -> Prepared:
        place = self.path.parent
        check_room(place, room)
        scratch = Path(tempfile.mkdtemp(prefix=_PART, dir=place))
        try:
            part = scratch / self.path.name
            written = write(part)
            known = {_stamp(name, part / name): one for name, one in written.sha256.items()}
            files = _files(part, known)
            for one in files:
                _sync(part / one.name)
            if self.path.is_dir() or part.is_dir():  # a folder replaces nothing, nothing a folder
                with suppress(FileNotFoundError):
                    self.path.replace(scratch / ".old")
            part.replace(self.path)
            return self._note(files, written.revision).prepared(self.path)
        finally:
            _remove(scratch)

    def _note(self, files: list[_File], revision: str | None) -> _Record:
        """Records the artifact as it lies there."""
        record = _Record(identity=self.identity, files=files, revision=revision)
        part = self.path.with_name(f"{_PART}{uuid.uuid4().hex}")
        # Without null: a harness from before a field was added goes on reading the rest.
        text = record.model_dump_json(indent=1, exclude_none=True)
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(self._record_path)
        return record

    @property
    def _record_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")


def check_room(place: Path, room: int) -> None:
    """Raises NotEnough unless `room` bytes are free in the folder `place`."""
    there = shutil.disk_usage(place).free
    if there < room:
        raise NotEnough("disk", room, there, f"free some, or {_ELSEWHERE} has room")


def filled_up(place: Path, room: int) -> NotEnough:
    """What to raise where `room` bytes seemed to be there at first."""
    there = shutil.disk_usage(place).free
    advice = f"it filled up on the way; free some, or {_ELSEWHERE} has room"
    return NotEnough("disk", room, there, advice)


@contextmanager
def _disk_errors(place: Path, room: int) -> Iterator[None]:
    """What the system says about the disk, as errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise filled_up(place, room) from error
        raise MissingError(
            f"cannot write in {place}: {error.strerror or error}; {_ELSEWHERE} can be written"
        ) from error


_Stamp = tuple[str, int, int]


def _stamp(name: str, path: Path) -> _Stamp:
    """What a file shows without being read: its name, size and modification time."""
    stat = path.stat()
    return name, stat.st_size, stat.st_mtime_ns


def _files(path: Path, known: Mapping[_Stamp, str]) -> list[_File]:
    """The file, or the folder's files by name; those whose stamp is known are not read."""
    inside = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    found = []
    for one in inside:
        name = "" if one == path else one.relative_to(path).as_posix()
        stamp = _stamp(name, one)
        digest = known.get(stamp) or _sha256(one)
        found.append(_File(name=name, bytes=stamp[1], mtime_ns=stamp[2], sha256=digest))
    return found


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
