"""Generated weights as an ONNX folder: given real ones, its graph answers as transformers does."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.ask import models
from harness.ask.geometry import FAMILIES
from harness.ask.models import Artifact, Model
from harness.errors import BadFile, MissingError
from harness.prepare import identity, need, prepare, synthetic_onnx, synthetic_safetensors
from harness.prepare.onnx_decoder import Graph, Piece
from harness.prepare.synthetic_gguf import epsilon
from harness.prepare.synthetic_onnx import proto, quantised
from harness.run.runtimes import fixed_prompt, settings_for

Build = Callable[..., tuple[Model, Artifact]]


def onnx_artifact(model: Model, seed: int = 1) -> Artifact:
    given = {"format": "onnx", "quantisation": "int4"}
    return Artifact.model_validate(given | {"source": {"kind": "synthetic", "seed": seed}})


def runtime(folder: Path, context: int = 256) -> Any:
    from harness.run.runtimes.onnx import Onnx

    found = Onnx()
    found.load(str(folder), settings_for("onnx", "cpu", threads=1, context=context))
    found.create_context()
    return found


# The graph, with weights of a model that transformers has


def reference(model: Model) -> Any:
    """Random, every matrix exactly what four bits can hold, norms and biases anything."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(1)
    config = synthetic_safetensors._config(model) | {"rms_norm_eps": epsilon(model.geometry)}
    found = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**config), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for value in found.parameters():
            value.copy_(torch.randn(value.shape) * 0.2 + (value.ndim == 1))
            if value.ndim > 1:
                value.copy_(torch.from_numpy(dequantised(*blocks(value.numpy()))).view_as(value))
    return found


def blocks(matrix: Any) -> tuple[Any, Any]:
    return quantised(np.ascontiguousarray(matrix, np.float32).reshape(-1, 32))


def dequantised(nibbles: Any, scales: Any) -> Any:
    stored = np.stack([nibbles & 15, nibbles >> 4], -1).reshape(len(nibbles), 32)
    return (stored.astype(np.float32) - 8) * scales[:, None]


def content(piece: Piece, weights: dict[str, Any], model: Model) -> bytes:
    """What the piece holds of a model in transformers."""
    shape = model.geometry
    others = synthetic_safetensors._OTHER_NAMES.get(shape.architecture, {})
    names = synthetic_safetensors._NAMES | others
    if not piece.tensors:
        return bytes(synthetic_onnx._pool(piece.fill, 1, shape))
    held = [weights[synthetic_safetensors._name(one, names)].numpy() for one in piece.tensors]
    if piece.fill in ("ones", "zeros"):
        more = piece.fill == "ones" and shape.family.post_norms  # Gemma's norms are one more
        return bytes((np.concatenate(held) + more).astype("<f4").tobytes())
    nibbles, scales = blocks(np.concatenate(held))
    return bytes((nibbles if piece.fill == "nibbles" else scales).tobytes())


def written(folder: Path, model: Model, weights: dict[str, Any]) -> Path:
    """With activations left as they are, so that nothing but the graph can differ."""
    import onnx

    graph = Graph(model.geometry)
    made = onnx.load_from_string(proto(graph, model.geometry, "real"))
    for node in made.graph.node:
        for given in node.attribute:
            if given.name == "accuracy_level":
                given.i = 1
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    (folder / "config.json").write_text("{}")
    with (folder / "model.onnx.data").open("wb") as file:
        for piece in graph.pieces:
            file.seek(piece.offset)
            assert file.write(content(piece, weights, model)) == piece.bytes
    return folder


# Phi 2's output has a bias and so a matrix of its own.
SHAPES = [
    (name, tied) for name in FAMILIES for tied in (True, False) if (name, tied) != ("phi2", True)
]


@pytest.mark.parametrize(("architecture", "tied"), SHAPES)
def test_with_real_weights_it_answers_as_transformers_does(
    architecture: str, tied: bool, synthetic: Build, tmp_path: Path
) -> None:
    import torch

    model, _ = synthetic("bf16", architecture=architecture, tied=tied)
    theirs = reference(model)
    found = runtime(written(tmp_path, model, theirs.state_dict()))
    # Beyond the context that YaRN began with, 128 here, Ministral 3 scales queries; the graph not.
    for length in (1, 5, 100 if architecture == "mistral3" else 200):
        prompt = fixed_prompt(length, model.geometry.vocabulary)
        answer = found.evaluate(prompt, 12, stop_at_end=False, top=5)
        with torch.inference_mode():
            ids = torch.tensor([prompt + answer.tokens[:-1]])
            logits = theirs(ids).logits[0, length - 1 :]
        assert answer.tokens == logits.argmax(-1).tolist()
        expected = torch.log_softmax(logits[0].double(), -1)
        for token, logprob in answer.first_logprobs:
            assert logprob == pytest.approx(float(expected[token]), abs=1e-3)
    assert len(set(answer.tokens)) > 1


# The folder


def test_it_runs_and_says_what_it_is(synthetic: Build, cache: Path) -> None:
    import onnx

    model, _ = synthetic()
    artifact = onnx_artifact(model)
    assert artifact.weights == "synthetic"
    made = prepare(model, artifact).path
    assert made.name == "tiny-int4.synthetic.onnx"
    graph = onnx.load(made / "model.onnx", load_external_data=False)
    assert graph.metadata_props[0].value == "synthetic"
    assert json.loads((made / "config.json").read_text())["claimbench_weights"] == "synthetic"
    found = runtime(made)
    answer = found.evaluate(fixed_prompt(20, found.vocabulary()), 10, stop_at_end=False, top=1)
    assert len(answer.tokens) == 10
    assert np.isfinite(answer.first_logprobs[0][1])
    cached = model.geometry.kv_bytes_per_token(bytes_per_value=4) * 256
    assert found.applied()["kv_bytes"] == cached


def test_twice_the_same_and_another_seed_differs(synthetic: Build, tmp_path: Path) -> None:
    model, _ = synthetic()
    said = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        synthetic_onnx.write(model, "int4", seed, folder, lambda done: None)
        said.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert said[0] == said[1]
    assert said[0] != said[2]
    assert identity(model, onnx_artifact(model)) != identity(model, onnx_artifact(model, seed=2))


def test_the_cost_is_the_size(synthetic: Build, cache: Path) -> None:
    model, _ = synthetic(hidden=512, ffn=1024, vocabulary=8192)
    artifact = onnx_artifact(model)
    expected = need(model, artifact).disk_bytes
    assert prepare(model, artifact).bytes == pytest.approx(expected, rel=0.01)


def test_four_bits_are_near_what_they_stand_for() -> None:
    values = np.random.default_rng(1).normal(0, 0.02, (1000, 32)).astype(np.float32)
    nibbles, scales = quantised(values)
    found = dequantised(nibbles, scales)
    assert np.abs(found - values).max() <= np.abs(scales).max()  # the end opposite the furthest
    assert np.sqrt(((found - values) ** 2).mean()) < 0.1 * values.std()
    assert not quantised(np.zeros((1, 32), np.float32))[1].any()


def test_what_it_cannot_hold(synthetic: Build, tmp_path: Path) -> None:
    odd, _ = synthetic(ffn=100)
    with pytest.raises(BadFile, match="rows of 100 values cannot be int4"):
        synthetic_onnx.write(odd, "int4", 1, tmp_path / "odd", lambda done: None)


def test_a_missing_package_is_named(
    synthetic: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"package onnx; run: .*claimbench\[export\]"):
        synthetic_onnx.write(synthetic()[0], "int4", 1, tmp_path / "x", lambda done: None)


def test_every_model_that_has_one_can_be_written() -> None:
    found = [
        (model, artifact)
        for model in models.load().values()
        for artifact in model.artifacts
        if (artifact.format, artifact.source.kind) == ("onnx", "synthetic")
    ]
    assert {model.geometry.architecture for model, _ in found} == set(FAMILIES)
    for model, _ in found:
        synthetic_onnx._check(model)
