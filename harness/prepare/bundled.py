"""The source `bundled`: files of this repository, copied so that a run sees them whole.

A checkout can change under a run; what lies in the cache is verified and written in one rename.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from harness import home
from harness.ask.models import Artifact, BundledSource, Model
from harness.errors import BadFile
from harness.prepare import Need
from harness.prepare.store import Progress, Written, folder_sha256


def file_name(model: Model, artifact: Artifact) -> str:
    """The repository's name for the folder."""
    return PurePosixPath(_of(artifact).folder).name


def identity(model: Model, artifact: Artifact) -> str:
    """The sha256 of all files together."""
    return f"bundled:{_of(artifact).sha256}"


def cost(model: Model, artifact: Artifact) -> Need:
    """Nothing is fetched."""
    return Need(present=False, download_bytes=0, disk_bytes=_of(artifact).bytes)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Copies the files. Raises BadFile where one lacks or they are not those of models.yaml."""
    source = _of(artifact)
    digests, size = {}, 0
    for name in source.files:
        try:
            data = (home.root() / source.folder / name).read_bytes()
        except OSError as error:
            raise BadFile(f"{source.folder}/{name}: {error.strerror}") from error
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(data)
        digests[name], size = hashlib.sha256(data).hexdigest(), size + len(data)
        progress(f"copying {name}", size, source.bytes)
    found = folder_sha256(digests)
    if (found, size) != (source.sha256, source.bytes):
        raise BadFile(
            f"{source.folder}: sha256 of its files should be {source.sha256} ({source.bytes} "
            f"bytes), is {found} ({size} bytes)"
        )
    return Written(digests)


def _of(artifact: Artifact) -> BundledSource:
    if not isinstance(artifact.source, BundledSource):
        raise TypeError(f"source {artifact.source.kind} is not bundled")
    return artifact.source
