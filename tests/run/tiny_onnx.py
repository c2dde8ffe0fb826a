"""A tiny Llama with random weights, as transformers has it and as ONNX graphs of the same weights.

Layouts: `one` takes tokens (optimum's), `parts` has its embeddings in a graph of their own beside a
vision encoder that nothing can load (transformers.js). Both caches grow by concatenation.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.run.protocol import Settings
from harness.run.runtimes import settings_for
from harness.run.runtimes.onnx import Onnx

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, FFN, VOCABULARY, WINDOW = 2, 32, 4, 2, 8, 64, 97, 64
EPSILON, THETA = 1e-5, 10000.0
END = 3

SETTINGS = settings_for("onnx", "cpu", threads=1, context=64)


def asked(**changes: Any) -> Settings:
    """SETTINGS but for these, ONNX Runtime's own among them."""
    common = {name: changes.pop(name) for name in ("threads", "context") if name in changes}
    return replace(SETTINGS, **common, options=SETTINGS.options | changes)


def runtime(folder: Path, **changes: Any) -> Onnx:
    found = Onnx()
    found.load(str(folder), asked(**changes))
    found.create_context()
    return found


def transformers_model(seed: int = 1) -> Any:
    """In evaluation mode."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_SIZE,
        vocab_size=VOCABULARY,
        max_position_embeddings=WINDOW,
        rms_norm_eps=EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        initializer_range=0.5,  # so that tokens differ
        eos_token_id=END,
        bos_token_id=1,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


def write(folder: Path, model: Any, layout: str = "one", external: str | None = None) -> Path:
    """The folder, with graphs and config.json. `external`: a file beside the graph for weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    one = layout == "one"
    decoder = _decoder(weights, one)
    options: dict[str, Any] = {}
    if external:
        options = {"save_as_external_data": True, "location": external, "size_threshold": 64}
    onnx.save(decoder, folder / ("model.onnx" if one else "decoder_model_merged.onnx"), **options)
    if not one:
        onnx.save(_embedder(weights), folder / "embed_tokens.onnx")
        onnx.save(_vision(), folder / "vision_encoder.onnx")
    config = {"max_position_embeddings": WINDOW, "eos_token_id": END}
    (folder / "config.json").write_text(json.dumps(config if one else {"text_config": config}))
    return folder


class _Builder:
    """Nodes and weights, each under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, array: Any) -> str:
        name = f"weight.{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"value.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def model(self, inputs: list[Any], outputs: list[Any]) -> Any:
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)


def _float(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _whole(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.INT64, list(shape))


def _decoder(weights: dict[str, Any], tokens: bool) -> Any:
    build = _Builder()
    hidden = "inputs_embeds"
    inputs = [_float("inputs_embeds", "batch", "tokens", HIDDEN)]
    if tokens:
        hidden = build.add(
            "Gather", build.weight(weights["model.embed_tokens.weight"]), "input_ids"
        )
        inputs = [_whole("input_ids", "batch", "tokens")]
    inputs += [
        _whole("attention_mask", "batch", "total"),
        _whole("position_ids", "batch", "tokens"),
    ]
    outputs = [_float("logits", "batch", "tokens", VOCABULARY)]
    mask, rotary = _mask(build), _rotary(build)
    for layer in range(LAYERS):
        for part in ("key", "value"):
            shape = ("batch", KV_HEADS, "length", HEAD_SIZE)
            inputs.append(_float(f"past_key_values.{layer}.{part}", *shape))
            outputs.append(_float(f"present.{layer}.{part}", *shape))
        hidden = _layer(build, weights, layer, hidden, mask, rotary)
    hidden = _norm(build, hidden, weights["model.norm.weight"])
    head = build.weight(weights["lm_head.weight"].T)
    build.nodes.append(helper.make_node("MatMul", [hidden, head], ["logits"]))
    return build.model(inputs, outputs)


def _mask(build: _Builder) -> str:
    """Which keys each token sees: those at its own position and before."""
    total = build.add("Shape", "attention_mask", start=1, end=2)
    one = build.weight(np.array([1]))
    keys = build.add("Sub", build.add("CumSum", build.add("Expand", one, total), _zero(build)), one)
    return build.add("LessOrEqual", keys, build.add("Transpose", "position_ids", perm=[1, 0]))


def _zero(build: _Builder) -> str:
    return build.weight(np.array(0))


def _rotary(build: _Builder) -> tuple[str, str]:
    frequencies = THETA ** (-np.arange(0, HEAD_SIZE, 2) / HEAD_SIZE)
    angles = np.arange(WINDOW)[:, None] * frequencies[None]
    return (
        build.weight(np.cos(angles).astype(np.float32)),
        build.weight(np.sin(angles).astype(np.float32)),
    )


def _norm(build: _Builder, hidden: str, weight: Any) -> str:
    return build.add("RMSNormalization", hidden, build.weight(weight), axis=-1, epsilon=EPSILON)


def _layer(
    build: _Builder,
    weights: dict[str, Any],
    layer: int,
    hidden: str,
    mask: str,
    rotary: tuple[str, str],
) -> str:
    def times(value: str, name: str) -> str:
        matrix = weights[f"model.layers.{layer}.{name}_proj.weight"].T
        return build.add("MatMul", value, build.weight(matrix))

    def norm(value: str, name: str) -> str:
        return _norm(build, value, weights[f"model.layers.{layer}.{name}_layernorm.weight"])

    def turned(value: str, heads: int) -> str:
        return build.add("RotaryEmbedding", value, *rotary, "position_ids", num_heads=heads)

    value = norm(hidden, "input")
    query = turned(times(value, "self_attn.q"), HEADS)
    key = turned(times(value, "self_attn.k"), KV_HEADS)
    past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
    present = [f"present.{layer}.{part}" for part in ("key", "value")]
    attended = f"attended.{layer}"
    build.nodes.append(
        helper.make_node(
            "Attention",
            [query, key, times(value, "self_attn.v"), mask, *past],
            [attended, *present],
            q_num_heads=HEADS,
            kv_num_heads=KV_HEADS,
        )
    )
    hidden = build.add("Add", hidden, times(attended, "self_attn.o"))
    value = norm(hidden, "post_attention")
    gate = times(value, "mlp.gate")
    gate = build.add("Mul", gate, build.add("Sigmoid", gate))
    return build.add(
        "Add", hidden, times(build.add("Mul", gate, times(value, "mlp.up")), "mlp.down")
    )


def _embedder(weights: dict[str, Any]) -> Any:
    build = _Builder()
    table = build.weight(weights["model.embed_tokens.weight"])
    build.nodes.append(helper.make_node("Gather", [table, "input_ids"], ["inputs_embeds"]))
    return build.model(
        [_whole("input_ids", "batch", "tokens")],
        [_float("inputs_embeds", "batch", "tokens", HIDDEN)],
    )


def _vision() -> Any:
    """Its one operator exists nowhere: whoever loads it fails."""
    build = _Builder()
    build.nodes.append(
        helper.make_node("NoSuchOperator", ["pixel_values"], ["image_features"], domain="nowhere")
    )
    return build.model([_float("pixel_values", 1, 3, 8, 8)], [_float("image_features", 1, HIDDEN)])
