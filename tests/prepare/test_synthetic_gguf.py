"""Generated weights as GGUF: the file's bytes, and what llama.cpp makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from harness.ask.geometry import Architecture
from harness.ask.models import Artifact, Model
from harness.errors import BadFile, MissingError
from harness.prepare import need, prepare, synthetic_gguf

Build = Callable[..., tuple[Model, Artifact]]
CHECKOUT = Path(__file__).parents[2]
ARCHITECTURES = get_args(Architecture)
CONTEXTS = (1024, 3072)
# llama.cpp takes these with and without an output matrix of their own; the others as published.
EITHER = ("llama", "smollm3", "mistral3", "qwen2", "qwen2vl", "phi3")


@pytest.fixture
def tiny(synthetic: Build) -> Build:
    return synthetic


# llama.cpp ends the process where it meets what it did not expect, so it has one of its own.
LOAD = """
import json, sys
import numpy as np
from harness.run.runtimes import settings_for
from harness.run.runtimes.llamacpp import LlamaCpp

kept = []  # the one that llama.cpp logs to may not go
def run(path, context):
    kept.append(runtime := LlamaCpp())
    runtime.load(path, settings_for("llama.cpp", "cpu", 1, context))
    runtime.create_context()
    return runtime

said = []
for path in sys.argv[2:]:
    runtimes = [run(path, context) for context in json.loads(sys.argv[1])]
    prompts = ([1, 5, 77, 1000], [1, 5, 77, 1000], [2, 9, 11, 1001])
    answers = [runtimes[0].evaluate(list(p), 8, stop_at_end=False).tokens for p in prompts]
    logits = runtimes[0]._logits()
    said.append({
        "parameters": runtimes[0].header()["parameters"],
        "kv_bytes": [runtime.applied()["kv_bytes"] for runtime in runtimes],
        "vocabulary": runtimes[0].vocabulary(),
        "answers": answers,
        "finite": bool(np.isfinite(logits).all()),
        "spread": float(logits.std()),
    })
print(json.dumps(said))
"""


def loaded(*paths: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", LOAD, json.dumps(CONTEXTS), *map(str, paths)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_llama_cpp_runs_it(cache: Path, tiny: Build, architecture: str) -> None:
    pytest.importorskip("llama_cpp")
    forms = [{}, {"tied": False}] if architecture in EITHER else [{}]
    shape = {"architecture": architecture, "context": 4096}
    built = [tiny(kind, **shape, **form) for kind in ("Q4_0", "Q8_0") for form in forms]
    paths = []
    for number, (model, artifact) in enumerate(built):
        made = prepare(model, artifact).path
        paths.append(made.rename(made.with_name(f"{number}.gguf")))
    for (model, _), said in zip(built, loaded(*paths), strict=True):
        shape_ = model.geometry
        assert said["parameters"] == shape_.parameters()
        assert said["vocabulary"] == shape_.vocabulary
        few, many = said["kv_bytes"]
        grown = (CONTEXTS[1] - CONTEXTS[0]) * shape_.kv_bytes_per_token()
        assert many - few == pytest.approx(grown, abs=20_000)  # it says so to 0.01 MiB
        assert few >= shape_.kv_bytes(CONTEXTS[0]) - 20_000
        first, again, other = said["answers"]
        assert first == again != other
        assert said["finite"]
        assert 0.01 < said["spread"] < 100


@pytest.mark.parametrize(
    ("quantisation", "sha256"),
    [
        ("Q4_0", "93d2ff0171842604fcf9d0fcd43eaddde804fe50c0a01529b42b1e2e7bc6165f"),
        ("Q8_0", "398e94cb47855602d83d472e514dfc9022c533b85f182c33feb40b97ff7270b2"),
    ],
)
def test_the_bytes_are_the_same_everywhere(
    cache: Path, tiny: Build, quantisation: str, sha256: str
) -> None:
    """If these change, so must `_WRITER`: else old files pass for new ones in the cache."""
    assert prepare(*tiny(quantisation, architecture="mistral3")).sha256 == sha256


def test_the_file_says_what_it_is(cache: Path, tiny: Build) -> None:
    gguf = pytest.importorskip("gguf")
    made = prepare(*tiny(architecture="mistral3"))
    reader = gguf.GGUFReader(made.path)
    said = {key: field.contents() for key, field in reader.fields.items()}
    assert "synthetic" in said["general.name"]
    assert "synthetic" in made.path.name
    expected = {
        "claimbench.weights": "synthetic",
        "tokenizer.ggml.model": "none",
        "mistral3.vocab_size": 2048,
        "mistral3.context_length": 512,
        "mistral3.attention.head_count_kv": 2,
        "mistral3.rope.freq_base": 10000,
        "mistral3.rope.scaling.type": "yarn",
        "mistral3.rope.scaling.factor": 4,
        "mistral3.rope.scaling.original_context_length": 128,
    }
    assert {key: said[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("quantisation", "shape", "head", "others"),
    [
        ("Q4_0", {}, "Q8_0", "Q4_0"),
        ("Q4_0", {"hidden": 256}, "Q6_K", "Q4_0"),
        ("Q8_0", {"hidden": 256}, "Q8_0", "Q8_0"),
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_tensors_are_of_the_kinds_that_llama_quantize_gives_them(
    tiny: Build, quantisation: str, shape: dict[str, int], head: str, others: str, tied: bool
) -> None:
    model, _ = tiny(quantisation, tied=tied, **shape)
    kinds = {t.name: t.kind for t in synthetic_gguf.tensors(model.geometry, quantisation)}
    assert kinds.pop("token_embd.weight" if tied else "output.weight") == head
    norms = {name for name in kinds if "norm" in name}
    assert {kinds.pop(name) for name in norms} == {"F32"}
    assert set(kinds.values()) == {others}


@pytest.mark.parametrize(
    ("quantisation", "index", "kind", "within"),
    [("Q4_0", 2, "Q4_0", 0.683), ("Q8_0", 0, "Q8_0", 0.683), ("Q4_0", 0, "Q6_K", None)],
)
def test_the_weights_are_spread_as_said_and_no_two_rows_alike(
    cache: Path, tiny: Build, quantisation: str, index: int, kind: str, within: float | None
) -> None:
    gguf = pytest.importorskip("gguf")
    model, artifact = tiny(quantisation, hidden=256, heads=64)
    tensor = gguf.GGUFReader(prepare(model, artifact).path).tensors[index]
    assert tensor.tensor_type.name == kind
    rows = gguf.dequantize(tensor.data, tensor.tensor_type)
    assert rows.shape == (2048, 256)
    assert abs(rows.mean()) < 0.001
    assert rows.std() == pytest.approx(0.02, rel=0.03)
    if within:  # a Gaussian's share within one standard deviation
        assert (np.abs(rows) < 0.02).mean() == pytest.approx(within, abs=0.03)
    assert len(np.unique(rows, axis=0)) == 2048


def test_a_geometry_that_has_no_whole_blocks(cache: Path, tiny: Build) -> None:
    with pytest.raises(BadFile, match="rows of 72 values cannot be Q8_0"):
        prepare(*tiny(hidden=72))


def test_without_the_package_gguf_it_says_what_to_install(
    cache: Path, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert need(*tiny()).disk_bytes > 0
    with pytest.raises(MissingError, match=r"pip install 'claimbench\[llamacpp\]'"):
        prepare(*tiny())
