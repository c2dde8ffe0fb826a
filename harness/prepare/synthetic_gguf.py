"""Generated weights as one GGUF file, quantised as llama-quantize does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry
from harness.ask.models import Model
from harness.errors import BadFile, MissingError
from harness.prepare import synthetic_pool as pool

QUANTISATIONS = ("Q4_0", "Q8_0")

_BLOCKS = {"F32": (1, 4), "Q4_0": (32, 18), "Q6_K": (256, 210), "Q8_0": (32, 34)}  # values, bytes
_ALIGNMENT = 32
# From the published configurations.
_EPSILON = {"smollm3": 1e-6, "qwen2": 1e-6, "qwen2vl": 1e-6, "gemma2": 1e-6, "gemma3": 1e-6}
_USUAL_EPSILON = 1e-5


def size(model: Model, quantisation: str) -> int:
    """Bytes of the file, within 1 %."""
    total = 2000  # the metadata
    for tensor in tensors(model.need_geometry(), quantisation):
        total += len(tensor.name) + 24 + 8 * len(tensor.shape)
        total += _padded(tensor.bytes)
    return total


def write(
    model: Model, quantisation: str, seed: int, part: Path, done: Callable[[int], None]
) -> dict[str, str]:
    """Writes the file at `part`, telling `done` the bytes so far; its sha256 under the name ""."""
    gguf = _gguf()
    whole = list(tensors(model.need_geometry(), quantisation))
    _write_header(gguf, model, quantisation, whole, part)
    pools = pool.Pools(lambda kind: _pool(gguf, kind, seed))
    with part.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        for tensor in whole:
            for piece in pools.take(tensor.fill, tensor.bytes):
                file.write(piece)
                digest.update(piece)
            padding = bytes(_padded(tensor.bytes) - tensor.bytes)
            file.write(padding)
            digest.update(padding)
            done(file.tell())
    return {"": digest.hexdigest()}


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingError(
            "synthetic weights need the package gguf; "
            "run: python -m pip install 'claimbench[llamacpp]'"
        ) from error
    return gguf


def epsilon(shape: Geometry) -> float:
    """What its norms add before they divide."""
    return _EPSILON.get(shape.architecture, _USUAL_EPSILON)


@dataclass(frozen=True)
class Tensor:
    """`shape` is (rows, columns), or the one length of a norm or bias; `kind` is ggml's format."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def bytes(self) -> int:
        values, size = _BLOCKS[self.kind]
        return prod(self.shape) // values * size

    @property
    def fill(self) -> str:
        """What it holds: norms ones, biases zeros, matrices weights of its kind."""
        if len(self.shape) > 1:
            return self.kind
        return "zeros" if self.name.endswith(".bias") else "ones"


def tensors(shape: Geometry, quantisation: str) -> Iterator[Tensor]:
    """The tensors in file order, each of the kind that `llama-quantize` gives it."""
    head = "token_embd.weight" if shape.tied else "output.weight"
    for name, size in shape.tensors():
        kind = "F32" if len(size) == 1 else quantisation
        if name == head and quantisation != "Q8_0":
            # llama-quantize spares the output matrix, also where the embeddings serve as such.
            kind = "Q8_0" if shape.hidden % _BLOCKS["Q6_K"][0] else "Q6_K"
        yield Tensor(name, size, kind)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _write_header(
    gguf: Any, model: Model, quantisation: str, whole: list[Tensor], part: Path
) -> None:
    """Metadata and the table of tensors, up to where the first tensor begins."""
    shape = model.need_geometry()
    writer = gguf.GGUFWriter(part, shape.architecture)
    writer.add_name(f"{model.name} (synthetic weights)")
    writer.add_string("claimbench.weights", "synthetic")
    writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{quantisation}"))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("none")
    _add_shape(writer, shape)
    _add_attention(gguf, writer, shape)
    for tensor in whole:
        if tensor.shape[-1] % _BLOCKS[tensor.kind][0]:
            raise BadFile(f"{model.id}: rows of {tensor.shape[-1]} values cannot be {tensor.kind}")
        # Not uint8: then the writer would take the shape for one in bytes.
        kind = gguf.GGMLQuantizationType[tensor.kind]
        f32 = np.dtype(np.float32)
        writer.add_tensor_info(tensor.name, tensor.shape, f32, tensor.bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with part.open("ab") as file:
        file.write(bytes(_padded(file.tell()) - file.tell()))


def _add_shape(writer: Any, shape: Geometry) -> None:
    """The hyper-parameters that llama.cpp reads for every architecture."""
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    if shape.family.biases:
        writer.add_layer_norm_eps(epsilon(shape))
    else:
        writer.add_layer_norm_rms_eps(epsilon(shape))
    writer.add_rope_dimension_count(shape.rotary or shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)


def _add_attention(gguf: Any, writer: Any, shape: Geometry) -> None:
    """Those that only some read: windows, long contexts, caps."""
    if shape.window is not None:
        writer.add_sliding_window(shape.window)
    if shape.yarn_factor is not None and shape.yarn_original_context is not None:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(shape.yarn_factor)
        writer.add_rope_scaling_orig_ctx_len(shape.yarn_original_context)
    if shape.architecture == "mistral3":
        # The same for all sizes of Ministral 3: `rope_parameters` of its configuration.
        writer.add_rope_scaling_yarn_beta_fast(32.0)
        writer.add_rope_scaling_yarn_beta_slow(1.0)
        writer.add_rope_scaling_yarn_log_mul(1.0)
        writer.add_attn_temperature_scale(0.1)
    if shape.architecture == "qwen2vl":
        half = shape.head_dim // 2  # time, height and width of an image take 2 : 3 : 3
        writer.add_rope_dimension_sections([half // 4, half * 3 // 8, half * 3 // 8, 0])


def _pool(gguf: Any, fill: str, seed: int) -> memoryview:
    """The pool for what a tensor is filled with."""
    if fill in ("ones", "zeros"):
        return pool.view(np.full(pool.BLOCKS, float(fill == "ones"), "<f4"))
    if fill == "Q6_K":
        return pool.view(_q6_k(seed))
    return pool.view(gguf.quantize(pool.gaussian(seed), gguf.GGMLQuantizationType[fill]))


def _q6_k(seed: int) -> Any:
    """Blocks put together in place, for gguf cannot quantise to Q6_K.

    192 bytes hold 6-bit values, evenly spread and so of standard deviation 18.47; 16 hold scales
    of 32 to 95, 66.1 as a quadratic mean; the last two the scale of them all.
    """
    blocks = pool.noise("q6_k", seed, _BLOCKS["Q6_K"][1]).copy()
    blocks[:, 192:208] = 32 + blocks[:, 192:208] % 64
    blocks[:, 208:] = np.array([pool.SPREAD / (18.47 * 66.1)], "<f2").view(np.uint8)
    return blocks
