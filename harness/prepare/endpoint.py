"""The source `endpoint`: a hosted model. No file of it can be had; the runtime `openai` asks it."""

from __future__ import annotations

from pathlib import Path

from harness.ask.models import Artifact, Model
from harness.errors import MissingError
from harness.prepare import Need
from harness.prepare.store import Progress, Written


def file_name(model: Model, artifact: Artifact) -> str:
    """A name that nothing has in the cache."""
    return "none"


def identity(model: Model, artifact: Artifact) -> str:
    """What the model is called by who serves it."""
    source = model.endpoint()
    return f"endpoint:{source.served_as}" if source else "endpoint"


def cost(model: Model, artifact: Artifact) -> Need:
    """Nothing is fetched."""
    return Need(present=False, download_bytes=0, disk_bytes=0)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Raises MissingError: there is nothing to write."""
    raise MissingError(f"{model.id} is hosted: nothing to prepare; ask it with --runtime openai")
