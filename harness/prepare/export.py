"""The source `export`: a folder made here from another artifact of the same model.

The exporter runs in a process of its own, so that its memory and its libraries go when it is done,
and without network. What the folder's bytes follow from is its identity: the origin's, and the
versions of every package that has a hand in it.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import prepare
from harness.ask.models import Artifact, ExportSource, Model
from harness.errors import BadFile, MissingError, NotEnough, UnknownName
from harness.plan.estimate import memory_available
from harness.prepare import Need, tool
from harness.prepare.store import Progress, Written

_WRITER = 1  # raise it with any change of what an exporter is asked: cached folders are made again


@dataclass(frozen=True)
class _Exporter:
    """A module that is run, what it is made of, and what it takes.

    `formats` are those of the origin. `precisions` are the bytes that a weight takes at each one,
    `copies` how often all weights are in memory at full precision at the most, and `scratch` the
    bytes that a weight takes on disk meanwhile.
    """

    module: str
    distributions: tuple[str, ...]
    formats: tuple[str, ...]
    precisions: dict[str, float]
    copies: int = 3
    scratch: int = 4


_EXPORTERS = {
    "genai": _Exporter(
        "harness.prepare.export_genai",
        ("onnxruntime-genai", "onnxruntime", "onnx-ir", "transformers", "torch", "gguf"),
        ("gguf",),
        {"fp32": 4, "int8": 1.15, "int4": 0.65},
    ),
    "gguf": _Exporter(
        "harness.prepare.export_gguf",
        ("gguf", "transformers"),
        ("safetensors",),
        {"f16": 2.1, "Q8_0": 1.1, "Q4_0": 0.9},
        copies=1,  # in truth one tensor at a time
        scratch=0,
    ),
    "torch": _Exporter(
        "harness.prepare.export_torch",
        ("onnxruntime", "onnx", "onnx-ir", "onnxscript", "transformers", "torch"),
        ("safetensors",),
        {"fp32": 4, "int8": 1.05, "int4": 0.65},
    ),
    "torchao": _Exporter(
        "harness.prepare.export_torchao",
        ("torchao", "transformers", "torch"),
        ("safetensors",),
        {"int8": 4},  # embeddings stay as they are, all of some small models' weights
        scratch=0,
    ),
    "bitsandbytes": _Exporter(
        "harness.prepare.export_bitsandbytes",
        ("bitsandbytes", "transformers", "torch"),
        ("safetensors",),
        {"nf4": 4},  # as above
        scratch=0,
    ),
    "qnn": _Exporter(
        "harness.prepare.export_qnn",
        ("onnxruntime", "onnx", "onnx-ir", "onnxscript", "transformers", "torch", "easy-vqa"),
        ("safetensors",),
        {"w8a16": 7},  # in two graphs, which are there in fp32 until they are quantised
    ),
}

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
_FULL_BYTES = 4  # a weight in memory
_TEXTS_BYTES = 64 << 20  # tokenizers, twice, and the graph without its weights
_LIBRARIES_BYTES = 1 << 30


def file_name(model: Model, artifact: Artifact) -> str:
    """A folder, named after what is in it."""
    return f"{model.id}-{artifact.quantisation}.{artifact.format}"


def identity(model: Model, artifact: Artifact) -> str:
    """The origin's identity, how it is exported, and by which versions of what."""
    source, exporter = _of(artifact)
    facts = {
        "origin": prepare.identity(model, model.origin(source.of)),
        "precision": artifact.quantisation,
        "exporter": source.exporter,
        "versions": {name: _version(name) for name in exporter.distributions},
        "writer": _WRITER,
    }
    if source.context:
        facts["context"] = source.context
    return f"export:{json.dumps(facts, sort_keys=True)}"


def cost(model: Model, artifact: Artifact) -> Need:
    """What the origin still costs, what is on disk meanwhile, and the folder."""
    source, exporter = _of(artifact)
    origin = prepare.need(model, model.origin(source.of))
    weight = exporter.scratch + exporter.precisions[artifact.quantisation]
    room = int(_weights(model) * weight) + _TEXTS_BYTES
    whole = None if origin.disk_bytes is None else origin.disk_bytes + room
    return Need(present=False, download_bytes=origin.download_bytes, disk_bytes=whole)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Prepares the origin and exports it. Raises MissingError without the exporter's packages,
    NotEnough without memory for it, BadFile with the exporter's last words where it fails."""
    source, exporter = _of(artifact)
    absent = [name for name in exporter.distributions if _version(name) is None]
    if absent:
        raise MissingError(
            f"exporting {model.id} needs {', '.join(absent)}; "
            "run: python -m pip install 'claimbench[export]'"
        )
    needed, there = _memory(model, exporter), memory_available()
    if there is not None and needed > there:
        raise NotEnough("memory", needed, there, "close programs, or take a smaller model")
    origin = prepare.prepare(model, model.origin(source.of), progress=progress)
    command = [sys.executable, "-m", exporter.module, str(origin.path), str(part)]
    command += [artifact.quantisation, *([str(source.context)] if source.context else [])]
    _run(command, part.parent, f"exporting {model.id}", progress)
    return Written()


def _of(artifact: Artifact) -> tuple[ExportSource, _Exporter]:
    source = artifact.source
    if not isinstance(source, ExportSource):
        raise TypeError(f"source {source.kind} is not export")
    exporter = _EXPORTERS[source.exporter]
    if artifact.quantisation not in exporter.precisions:
        raise UnknownName("precision to export", artifact.quantisation, exporter.precisions)
    if source.of.format not in exporter.formats:
        raise UnknownName("format to export", source.of.format, exporter.formats)
    return source, exporter


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _weights(model: Model) -> int:
    """Graphs have the embeddings twice where the model has them once: as table and as head."""
    shape = model.need_geometry()
    return model.parameters() + (shape.vocabulary * shape.hidden if shape.tied else 0)


def _memory(model: Model, exporter: _Exporter) -> int:
    """An estimate of the most that an export takes."""
    return exporter.copies * _FULL_BYTES * model.parameters() + _LIBRARIES_BYTES


def _run(command: list[str], scratch: Path, what: str, progress: Progress) -> None:
    env = {**_OFFLINE, "TMPDIR": str(scratch)}
    status, said = tool.run(command, scratch / "export.log", env, lambda: progress(what, 0, 0))
    if status:
        raise BadFile(f"{what} ended with status {status}: {said.strip()[-400:]}")
