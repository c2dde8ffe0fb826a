"""The source `synthetic`: the file's bytes, and what llama.cpp makes of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.ask.models import Artifact, Model
from harness.errors import BadFile, MissingError, UnknownName
from harness.prepare import identity, need, prepare, synthetic
from harness.prepare.store import Progress

Build = Callable[..., tuple[Model, Artifact]]
CHECKOUT = Path(__file__).parents[2]
ARCHITECTURES = ["llama", "smollm3", "mistral3"]


@pytest.fixture
def tiny(synthetic: Build) -> Build:
    return synthetic


def written(model: Model, artifact: Artifact, path: Path) -> bytes:
    def quiet(what: str, done: int, total: int) -> None:
        return

    synthetic.write(model, artifact, path, quiet)
    return path.read_bytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("quantisation", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("tied", [True, False])
def test_llama_cpp_runs_it(
    cache: Path, tiny: Build, architecture: str, quantisation: str, tied: bool
) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    model, artifact = tiny(quantisation, architecture=architecture, tied=tied, hidden=256)
    path = prepare(model, artifact).path
    loaded = llama_cpp.llama_model_load_from_file(
        str(path).encode(), llama_cpp.llama_model_default_params()
    )
    assert loaded, "llama.cpp refuses the file"
    try:
        parameters = llama_cpp.llama_model_n_params(loaded)
        assert parameters == pytest.approx(model.geometry.parameters(), rel=0.005)
        first = greedy(llama_cpp, loaded, [1, 5, 77, 1000], new=8)
        assert greedy(llama_cpp, loaded, [1, 5, 77, 1000], new=8) == first
        assert greedy(llama_cpp, loaded, [2, 9, 11, 1001], new=8) != first
    finally:
        llama_cpp.llama_model_free(loaded)


def greedy(llama_cpp: Any, model: Any, tokens: list[int], new: int) -> list[int]:
    """The `new` likeliest tokens after `tokens`, each from finite logits that differ."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = 64, 1, 1
    context = llama_cpp.llama_init_from_model(model, settings)
    count = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    answer = []
    try:
        for _ in range(new):
            batch = (llama_cpp.llama_token * len(tokens))(*tokens)
            given = llama_cpp.llama_batch_get_one(batch, len(tokens))
            assert llama_cpp.llama_decode(context, given) == 0
            address = llama_cpp.llama_get_logits_ith(context, -1)
            logits = np.ctypeslib.as_array(address, (count,))
            assert np.isfinite(logits).all()
            assert 0.01 < logits.std() < 100
            tokens = [int(logits.argmax())]
            answer += tokens
    finally:
        llama_cpp.llama_free(context)
    return answer


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


def test_twice_the_same_and_another_seed_differs(tmp_path: Path, tiny: Build) -> None:
    first = written(*tiny(seed=1), tmp_path / "1")
    assert written(*tiny(seed=1), tmp_path / "2") == first
    assert written(*tiny(seed=2), tmp_path / "3") != first


def test_the_identity_follows_all_that_the_bytes_follow(
    tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = tiny()
    renamed = model.model_copy(update={"name": "Another"})
    several = [
        identity(model, artifact),
        identity(renamed, artifact),
        identity(*tiny("Q8_0")),
        identity(*tiny(seed=2)),
        identity(*tiny(rope_theta=20000)),
    ]
    monkeypatch.setattr(synthetic, "_WRITER", -1)
    several.append(identity(model, artifact))
    assert len(set(several)) == len(several)


@pytest.mark.parametrize("quantisation", ["Q4_0", "Q8_0"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_size_is_known_beforehand(
    cache: Path, tiny: Build, architecture: str, quantisation: str
) -> None:
    model, artifact = tiny(quantisation, architecture=architecture)
    expected = need(model, artifact)
    made = prepare(model, artifact)
    assert (expected.present, expected.download_bytes) == (False, 0)
    assert made.bytes == made.path.stat().st_size
    assert expected.disk_bytes == pytest.approx(made.bytes, rel=0.01)
    assert need(model, artifact).present


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
    kinds = {t.name: t.kind for t in synthetic._tensors(model.geometry, quantisation)}
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


def test_a_quantisation_that_is_not_generated(cache: Path, tiny: Build) -> None:
    with pytest.raises(UnknownName, match="Q4_K_M"):
        need(*tiny("Q4_K_M"))


def test_without_the_package_gguf_it_says_what_to_install(
    cache: Path, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert need(*tiny()).disk_bytes > 0
    with pytest.raises(MissingError, match=r"pip install 'claimbench\[llamacpp\]'"):
        prepare(*tiny())


def test_it_needs_no_network(cache: Path, tiny: Build) -> None:
    assert prepare(*tiny(), offline=True).bytes > 0


BIG = """
import re, sys
from pathlib import Path
from harness.ask.models import Model
from harness.prepare import quiet, synthetic

model = Model.model_validate_json(sys.argv[1])
synthetic.write(model, model.artifacts[0], Path(sys.argv[2]), quiet)
# Not ru_maxrss: that of a child begins with its parent's, and pytest is large by now.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in KiB is Linux's")
def test_memory_stays_below_the_size_of_the_file(tmp_path: Path, tiny: Build) -> None:
    """One matrix alone has 428 MB here: neither it nor the file is ever held."""
    model, _ = tiny("Q8_0", hidden=3072, layers=1, vocabulary=131072)
    command = [sys.executable, "-c", BIG, model.model_dump_json(), str(tmp_path / "big")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert (tmp_path / "big").stat().st_size > 428e6
    assert int(done.stdout) * 1024 < 250e6
    (tmp_path / "big").unlink()


def test_progress_goes_up_to_the_whole(tmp_path: Path, tiny: Build) -> None:
    seen: list[tuple[int, int]] = []
    report: Progress = lambda _, done, total: seen.append((done, total))  # noqa: E731
    synthetic.write(*tiny(), tmp_path / "file", report)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
