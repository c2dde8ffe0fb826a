"""The source `synthetic`: an artifact in the model's real shape and size, weights generated.

What a runtime does with it costs the memory and the time of the real model; what it answers means
nothing. The artifact says so itself: `claimbench.weights` is "synthetic" in every file's metadata.
Where the format wants a tokenizer it gets one that stands in; GGUF and ONNX have none. Only token
ids go in and out.

Same geometry, format, quantisation and seed: same bytes on every machine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.ask.models import Artifact, Model, SyntheticSource
from harness.errors import UnknownName
from harness.prepare import Need, synthetic_gguf, synthetic_onnx, synthetic_safetensors
from harness.prepare.store import Progress, Written

_WRITER = 2  # raise it with any change of the bytes: cached files are then made again
_LATER = ("rotary", "window", "global_every")
"""Fields that came later. Unset they count for nothing: what was measured before keeps its key."""
_FORMATS = {
    "gguf": synthetic_gguf,
    "onnx": synthetic_onnx,
    "safetensors": synthetic_safetensors,
}


def file_name(model: Model, artifact: Artifact) -> str:
    """Says what it is, also to someone who finds the file or folder alone."""
    return f"{model.id}-{artifact.quantisation}.synthetic.{artifact.format}"


def identity(model: Model, artifact: Artifact) -> str:
    """A hash of all that the bytes follow from: name, geometry, quantisation, seed, writer.

    No two formats have a quantisation in common.
    """
    _check(artifact)
    unset = {name for name in _LATER if getattr(model.need_geometry(), name) is None}
    facts = {
        "name": model.name,
        "geometry": model.need_geometry().model_dump(exclude=unset),
        "quantisation": artifact.quantisation,
        "seed": _seed(artifact),
        "writer": _WRITER,
    }
    text = json.dumps(facts, sort_keys=True)
    return f"synthetic:{hashlib.sha256(text.encode()).hexdigest()}"


def cost(model: Model, artifact: Artifact) -> Need:
    """Nothing to fetch; the size of what is written, within 1 %."""
    size = _FORMATS[artifact.format].size(model, artifact.quantisation)
    return Need(present=False, download_bytes=0, disk_bytes=size)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Writes it piece by piece: memory stays far below the model's size.

    Raises MissingError without the package that the format needs, BadFile for a geometry that it
    cannot hold.
    """
    what = f"writing {model.id} {artifact.quantisation}"
    total = cost(model, artifact).disk_bytes or 0
    digests: dict[str, str] = _FORMATS[artifact.format].write(
        model,
        artifact.quantisation,
        _seed(artifact),
        part,
        lambda done: progress(what, min(done, total), total),
    )
    progress(what, total, total)
    return Written(digests)


def _check(artifact: Artifact) -> None:
    known = _FORMATS[artifact.format].QUANTISATIONS
    if artifact.quantisation not in known:
        raise UnknownName("quantisation to generate", artifact.quantisation, known)


def _seed(artifact: Artifact) -> int:
    if not isinstance(artifact.source, SyntheticSource):
        raise TypeError(f"source {artifact.source.kind} is not synthetic")
    return artifact.source.seed
