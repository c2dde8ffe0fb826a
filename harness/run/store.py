"""Runs on disk. `results/<machine>/<run>/` holds finished runs only and appears in one rename.

While a run is under way its samples are lines of `results/<machine>/.partial/<key>/samples.jsonl`,
each on disk before the next sample starts. A line that a kill or a full disk cut short is dropped
when the journal is opened again: that sample was under way, and only that one is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness.errors import BadFile, NotEnough
from harness.run import upgrade
from harness.run.records import SCHEMA_VERSION, Machine, Run, Sample

_PARTIAL = ".partial"


def write_whole(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Writes `path` so that it is either as before or complete. Raises NotEnough on a full disk.

    Without `sync` a power cut may lose it, a kill may not: for what can be derived again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _full(error, path, len(data)) from error


def to_json(record: BaseModel) -> bytes:
    """A record as text for a file: keys in the order of its class, one line break at the end."""
    return (
        json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    ).encode()


class Journal:
    """The samples so far of one run under way."""

    def __init__(self, machine_folder: Path, key: str) -> None:
        self.folder = machine_folder / _PARTIAL / key
        self._path = self.folder / "samples.jsonl"
        self.samples: list[Sample] = []
        if self._path.exists():
            whole = _whole_lines(self._path.read_bytes())
            self.samples = [_sample(line, self._path) for line in whole.splitlines()]
            if len(whole) != self._path.stat().st_size:
                write_whole(self._path, whole)

    def append(self, sample: Sample) -> None:
        """Puts `sample` on disk. Raises NotEnough on a full disk, with the journal as it was."""
        line = json.dumps(sample.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if self._path.exists():
                os.truncate(self._path, size)
            raise _full(error, self._path, len(line)) from error
        self.samples.append(sample)

    def seal(self, run: Run) -> None:
        """Writes all that the finished run holds, still in the journal's folder."""
        write_whole(self.folder / "run.json", to_json(run))
        write_whole(self._path, samples_bytes(self.samples))
        for left in self.folder.glob(".*.tmp"):  # by a harness that was killed here before
            left.unlink()

    def publish(self, run: Run) -> Path:
        """Turns the sealed journal into the finished run `run.id`, in one rename."""
        target = self.folder.parent.parent / run.id
        self.folder.rename(target)
        return target


def samples_bytes(samples: list[Sample]) -> bytes:
    """The content of samples.jsonl."""
    lines = (json.dumps(sample.model_dump(mode="json"), ensure_ascii=False) for sample in samples)
    return "".join(f"{line}\n" for line in lines).encode()


def read_samples(folder: Path) -> list[Sample]:
    """The samples of a finished run. Raises BadFile where they don't match its digest."""
    (run, version), path = _run_and_version(folder), folder / "samples.jsonl"
    raw = _read(path)
    if hashlib.sha256(raw).hexdigest() != run.samples_sha256:
        raise BadFile(f"{path}: not the samples that run.json was written with (samples_sha256)")
    return [_sample(line, path, version) for line in raw.splitlines()]


def has_facets(folder: Path) -> bool:
    """Whether an item of a finished run says under what it was asked. Reads no line as a record."""
    return b'"facets": {"' in _read(folder / "samples.jsonl")  # as `samples_bytes` writes it


def read_run(folder: Path) -> Run:
    """run.json of a finished run, whatever version it has. Raises BadFile."""
    return _run_and_version(folder)[0]


def _run_and_version(folder: Path) -> tuple[Run, int]:
    """The run, and the version that its files were written in."""
    path = folder / "run.json"
    raw = _read(path)
    try:
        data = json.loads(raw)
        new = upgrade.run(data)
        run = Run.model_validate_json(raw if new is data else json.dumps(new))
    except ValidationError as error:
        raise BadFile(f"{path}: {_first(error)}") from error
    except ValueError as error:
        raise BadFile(f"{path}: no JSON: {error}") from error
    return run, data["schema_version"]


def runs(results: Path) -> Iterator[tuple[Path, Run]]:
    """All finished runs of all machines, oldest first by id."""
    for path in sorted(results.glob("*/*/run.json"), key=lambda path: (path.parent.name, path)):
        if not any(part.startswith(".") for part in path.relative_to(results).parts):
            yield path.parent, read_run(path.parent)


def write_machine(results: Path, machine: Machine) -> None:
    write_whole(results / machine.id / "machine.json", to_json(machine))


def machines(results: Path) -> list[Machine]:
    """The machines that left runs. Raises BadFile."""
    found = []
    for path in sorted(results.glob("*/machine.json")):
        try:
            found.append(Machine.model_validate_json(_read(path)))
        except ValidationError as error:
            raise BadFile(f"{path}: {_first(error)}") from error
    return found


def _whole_lines(raw: bytes) -> bytes:
    return raw[: raw.rfind(b"\n") + 1]


def _sample(line: bytes, path: Path, version: int = SCHEMA_VERSION) -> Sample:
    try:
        if version != SCHEMA_VERSION:
            line = json.dumps(upgrade.sample(json.loads(line), version)).encode()
        return Sample.model_validate_json(line)
    except ValidationError as error:
        raise BadFile(f"{path}: a sample: {_first(error)}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    return f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"


def _full(error: OSError, path: Path, needed: int) -> Exception:
    """NotEnough for a full disk, else the error itself."""
    import errno

    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    there = shutil.disk_usage(path.parent).free
    return NotEnough("disk", needed, there, "free some and give the same command again")
