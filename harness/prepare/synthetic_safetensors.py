"""Generated weights as a safetensors folder that transformers loads with its own classes.

Only the text part: of a vision-language model it is the text model, alone. Qwen2.5-VL's has the
weights of Qwen2.5, so it takes that class; M-RoPE turns the same values by other angles.
The tokenizer is a stand-in of 256 bytes: real ids come from `harness`, never from text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry
from harness.ask.models import Model
from harness.prepare import synthetic_pool as pool

QUANTISATIONS = ("bf16",)

_SHARD = 4 << 30
_SIZE = 2  # bytes of a bf16

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "token_embd": "embed_tokens",
    "output_norm": "norm",
}
_GEMMA_NAMES = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_OTHER_NAMES: dict[str, dict[str, str]] = {
    "phi2": {
        "attn_output": "self_attn.dense",
        "ffn_up": "mlp.fc1",
        "ffn_down": "mlp.fc2",
        "output_norm": "final_layernorm",
    },
    "phi3": {"ffn_up": "mlp.gate_up_proj"},
    "gemma2": _GEMMA_NAMES,
    "gemma3": _GEMMA_NAMES,
}
_CLASSES = {
    "llama": ("llama", "LlamaForCausalLM"),
    "smollm3": ("smollm3", "SmolLM3ForCausalLM"),
    "mistral3": ("ministral3", "Ministral3ForCausalLM"),
    "qwen2": ("qwen2", "Qwen2ForCausalLM"),
    "qwen2vl": ("qwen2", "Qwen2ForCausalLM"),
    "phi2": ("phi", "PhiForCausalLM"),
    "phi3": ("phi3", "Phi3ForCausalLM"),
    "gemma2": ("gemma2", "Gemma2ForCausalLM"),
    "gemma3": ("gemma3_text", "Gemma3ForCausalLM"),
}


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    fill: str

    @property
    def bytes(self) -> int:
        return prod(self.shape) * _SIZE


def size(model: Model, quantisation: str) -> int:
    """Bytes of the folder: weights, their table of about 120 each, configuration, tokenizer."""
    every = list(_tensors(model.need_geometry()))
    return sum(tensor.bytes for tensor in every) + 220 * len(every) + 8000


def write(
    model: Model, quantisation: str, seed: int, part: Path, done: Callable[[int], None]
) -> dict[str, str]:
    """Writes the folder `part`, telling `done` the bytes so far; the sha256 of each shard."""
    part.mkdir()
    for name, content in _texts(model).items():
        (part / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    pools = pool.Pools(lambda fill: _pool(fill, seed))
    shards = list(_shards(model.need_geometry()))
    index: dict[str, str] = {}
    digests: dict[str, str] = {}
    written = 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        index |= {tensor.name: name for tensor in shard}
        with (part / name).open("wb") as file:
            file.write(table := _table(shard))
            digest = hashlib.sha256(table)
            for tensor in shard:
                for piece in pools.take(tensor.fill, tensor.bytes):
                    file.write(piece)
                    digest.update(piece)
                written += tensor.bytes
                done(written)
        digests[name] = digest.hexdigest()
    content = {"metadata": {"total_size": written}, "weight_map": index}
    (part / "model.safetensors.index.json").write_text(json.dumps(content, indent=1) + "\n")
    return digests


def _shards(shape: Geometry) -> Iterator[list[_Tensor]]:
    """The tensors in files of at most `_SHARD` bytes, as they are published."""
    shard: list[_Tensor] = []
    for tensor in _tensors(shape):
        if shard and sum(one.bytes for one in shard) + tensor.bytes > _SHARD:
            yield shard
            shard = []
        shard.append(tensor)
    yield shard


def _table(shard: list[_Tensor]) -> bytes:
    """The head of a safetensors file: its length, then what lies where."""
    table: dict[str, Any] = {
        "__metadata__": {"format": "pt", "claimbench.weights": "synthetic"},
    }
    at = 0
    for tensor in shard:
        place = [at, at + tensor.bytes]
        table[tensor.name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": place}
        at += tensor.bytes
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(shape: Geometry) -> Iterator[_Tensor]:
    names = _NAMES | _OTHER_NAMES.get(shape.architecture, {})
    # Gemma multiplies by one more than the weight of its norms.
    norm = "zeros" if shape.family.post_norms else "ones"
    for name, size in shape.tensors():
        fill = "weights" if len(size) > 1 else "zeros" if name.endswith(".bias") else norm
        yield _Tensor(_name(name, names), size, fill)


def _name(name: str, names: dict[str, str]) -> str:
    """The name in transformers of a tensor by its name in GGUF."""
    place, of, kind = name.rpartition(".")[0], *name.rpartition(".")[1:]
    if place == "output":
        return f"lm_head{of}{kind}"
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", place)
    if layer:
        return f"model.layers.{layer[1]}.{names[layer[2]]}{of}{kind}"
    return f"model.{names[place]}{of}{kind}"


def _pool(fill: str, seed: int) -> memoryview:
    """bf16 is the upper half of a float32, rounded to the nearest."""
    if fill == "weights":
        values = pool.gaussian(seed)
    else:
        values = np.full(pool.BLOCKS, float(fill == "ones"), np.float32)
    bits = values.view(np.uint32)
    return pool.view(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2"))


def _texts(model: Model) -> dict[str, Any]:
    """The files of the folder that are not weights."""
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    tokens = {character: byte for byte, character in enumerate(_alphabet())}
    return {
        "config.json": _config(model),
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": bytes_ | {"use_regex": False},
            "decoder": bytes_,
            "model": {"type": "BPE", "vocab": tokens, "merges": []},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "claimbench_tokenizer": "stand-in: bytes, not the model's tokens",
        },
    }


def _alphabet() -> Iterator[str]:
    """The character that stands for each byte in byte-level BPE: printable ones for themselves."""
    others = iter(range(256, 512))
    for byte in range(256):
        plain = 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174
        yield chr(byte if plain else next(others))


def _config(model: Model) -> dict[str, Any]:
    shape = model.need_geometry()
    kind, name = _CLASSES[shape.architecture]
    config = {
        "_name_or_path": f"{model.name} (synthetic weights)",
        "claimbench_weights": "synthetic",
        "architectures": [name],
        "model_type": kind,
        "dtype": "bfloat16",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ffn,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied,
        "rope_parameters": _rope(shape),
        # Outside of what the defaults of some classes would say of a vocabulary of their own.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if shape.window is not None:
        local = [layer % int(shape.global_every or 1) for layer in range(1, shape.layers + 1)]
        kinds = ["sliding_attention" if one else "full_attention" for one in local]
        config |= {"sliding_window": shape.window, "layer_types": kinds}
        config |= {"query_pre_attn_scalar": shape.head_dim}
    return config


def _rope(shape: Geometry) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": shape.rope_theta}
    if shape.rotary:
        rope["partial_rotary_factor"] = shape.rotary / shape.head_dim
    if shape.yarn_factor is not None:
        rope |= {"rope_type": "yarn", "factor": shape.yarn_factor}
        rope |= {"original_max_position_embeddings": shape.yarn_original_context}
    if shape.architecture == "mistral3":
        rope |= {"beta_fast": 32.0, "beta_slow": 1.0, "llama_4_scaling_beta": 0.1}
        rope |= {"mscale": 1.0, "mscale_all_dim": 1.0}
    if shape.family.local_theta:
        local = {"rope_type": "default", "rope_theta": shape.family.local_theta}
        return {"full_attention": rope, "sliding_attention": local}
    return rope
