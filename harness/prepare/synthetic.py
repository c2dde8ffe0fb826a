"""The source `synthetic`: a GGUF file in the model's real shape and size, weights generated.

What a runtime does with it costs the memory and the time of the real model; what it answers means
nothing. The file says so itself: `claimbench.weights` is "synthetic", and it has no tokenizer, so
that only token ids go in and out.

Same geometry, quantisation and seed: same bytes on every machine, hence integer sums of a hash's
output rather than a library's random numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.models import Artifact, Geometry, Model, SyntheticSource
from harness.errors import BadFile, MissingError, UnknownName
from harness.prepare import Need
from harness.prepare.store import Progress, Written

_WRITER = 2  # raise it with any change of the bytes: cached files are then made again
_QUANTISATIONS = ("Q4_0", "Q8_0")
_BLOCKS = {"F32": (1, 4), "Q4_0": (32, 18), "Q6_K": (256, 210), "Q8_0": (32, 34)}  # values, bytes
_ALIGNMENT = 32
_POOL = 131_101  # blocks to tile from; a prime above the vocabularies: no two rows begin alike
_SPREAD = 0.02  # standard deviation of a weight, as transformers are initialised

# From the published configurations (transformers: llama, smollm3 and ministral3).
_RMS_EPSILON = {"llama": 1e-5, "smollm3": 1e-6, "mistral3": 1e-5}


def file_name(model: Model, artifact: Artifact) -> str:
    """Says what it is, also to someone who finds the file alone."""
    return f"{model.id}-{artifact.quantisation}.synthetic.gguf"


def identity(model: Model, artifact: Artifact) -> str:
    """A hash of all that the bytes follow from: name, geometry, quantisation, seed, writer."""
    if artifact.quantisation not in _QUANTISATIONS:
        raise UnknownName("quantisation to generate", artifact.quantisation, _QUANTISATIONS)
    facts = {
        "name": model.name,
        "geometry": model.geometry.model_dump(),
        "quantisation": artifact.quantisation,
        "seed": _seed(artifact),
        "writer": _WRITER,
    }
    text = json.dumps(facts, sort_keys=True)
    return f"synthetic:{hashlib.sha256(text.encode()).hexdigest()}"


def cost(model: Model, artifact: Artifact) -> Need:
    """Nothing to fetch; the size of the file to write, within 1 %."""
    size = 2000  # the metadata
    for tensor in _tensors(model.geometry, artifact.quantisation):
        size += len(tensor.name) + 24 + 8 * len(tensor.shape)
        size += _padded(tensor.bytes)
    return Need(present=False, download_bytes=0, disk_bytes=size)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Writes the file piece by piece: memory stays far below the model's size.

    Raises MissingError without the package gguf, BadFile for a geometry that cannot be quantised.
    """
    gguf = _gguf()
    tensors = list(_tensors(model.geometry, artifact.quantisation))
    _write_header(gguf, model, artifact.quantisation, tensors, part)
    kinds = {tensor.kind for tensor in tensors}
    pools = {kind: _pool(gguf, kind, _seed(artifact)) for kind in sorted(kinds)}
    starts = dict.fromkeys(pools, 0)
    what = f"writing {model.id} {artifact.quantisation}"
    total = cost(model, artifact).disk_bytes or 0
    with part.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        for tensor in tensors:
            pool, start = pools[tensor.kind], starts[tensor.kind]
            for piece in _pieces(pool, start, tensor.bytes):
                file.write(piece)
                digest.update(piece)
            starts[tensor.kind] = (start + tensor.bytes) % len(pool)
            progress(what, min(file.tell(), total), total)
    progress(what, total, total)
    return Written({"": digest.hexdigest()})


def _seed(artifact: Artifact) -> int:
    if not isinstance(artifact.source, SyntheticSource):
        raise TypeError(f"source {artifact.source.kind} is not synthetic")
    return artifact.source.seed


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingError(
            "synthetic weights need the package gguf; "
            "run: python -m pip install 'claimbench[llamacpp]'"
        ) from error
    return gguf


@dataclass(frozen=True)
class _Tensor:
    """`shape` is (rows, columns), or the one length of a norm; `kind` names ggml's format."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def bytes(self) -> int:
        values, size = _BLOCKS[self.kind]
        return prod(self.shape) // values * size


def _tensors(shape: Geometry, quantisation: str) -> Iterator[_Tensor]:
    """The tensors in file order, each of the kind that `llama-quantize` gives it."""
    head = "token_embd.weight" if shape.tied else "output.weight"
    for name, size in _shapes(shape):
        kind = "F32" if len(size) == 1 else quantisation
        if name == head and quantisation != "Q8_0":
            # llama-quantize spares the output matrix, also where the embeddings serve as such.
            kind = "Q8_0" if shape.hidden % _BLOCKS["Q6_K"][0] else "Q6_K"
        yield _Tensor(name, size, kind)


def _shapes(shape: Geometry) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, ffn = shape.hidden, shape.ffn
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "token_embd.weight", (shape.vocabulary, hidden)
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", (hidden,)
        yield f"blk.{layer}.attn_q.weight", (queries, hidden)
        yield f"blk.{layer}.attn_k.weight", (keys, hidden)
        yield f"blk.{layer}.attn_v.weight", (keys, hidden)
        yield f"blk.{layer}.attn_output.weight", (hidden, queries)
        yield f"blk.{layer}.ffn_norm.weight", (hidden,)
        yield f"blk.{layer}.ffn_gate.weight", (ffn, hidden)
        yield f"blk.{layer}.ffn_up.weight", (ffn, hidden)
        yield f"blk.{layer}.ffn_down.weight", (hidden, ffn)
    yield "output_norm.weight", (hidden,)
    if not shape.tied:
        yield "output.weight", (shape.vocabulary, hidden)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _write_header(
    gguf: Any, model: Model, quantisation: str, tensors: list[_Tensor], part: Path
) -> None:
    """Metadata and the table of tensors, up to where the first tensor begins."""
    shape = model.geometry
    writer = gguf.GGUFWriter(part, shape.architecture)
    writer.add_name(f"{model.name} (synthetic weights)")
    writer.add_string("claimbench.weights", "synthetic")
    writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{quantisation}"))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("none")
    _add_shape(gguf, writer, shape)
    for tensor in tensors:
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


def _add_shape(gguf: Any, writer: Any, shape: Geometry) -> None:
    """The hyper-parameters that llama.cpp reads for these architectures."""
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(_RMS_EPSILON[shape.architecture])
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
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


def _pool(gguf: Any, kind: str, seed: int) -> memoryview:
    """_POOL blocks of weights to tile from; for norms, ones."""
    if kind == "F32":
        blocks = np.ones(_POOL, "<f4")
    elif kind == "Q6_K":
        blocks = _q6_k(seed)
    else:
        blocks = gguf.quantize(_gaussian(seed), gguf.GGMLQuantizationType[kind])
    return np.ascontiguousarray(blocks).data.cast("B")


def _gaussian(seed: int) -> Any:
    """Blocks of 32 values: sums of four bytes, of mean 510 and variance 4 * (256² - 1) / 12."""
    sums = _noise("gaussian", seed, 32 * 4).reshape(4, _POOL, 32).sum(axis=0, dtype=np.int16)
    values = (sums - 510).astype(np.float32)
    values *= np.float32(_SPREAD / 147.8)
    return values


def _q6_k(seed: int) -> Any:
    """Blocks put together in place, for gguf cannot quantise to Q6_K.

    192 bytes hold 6-bit values, evenly spread and so of standard deviation 18.47; 16 hold scales
    of 32 to 95, 66.1 as a quadratic mean; the last two the scale of them all.
    """
    blocks = _noise("q6_k", seed, _BLOCKS["Q6_K"][1]).copy()
    blocks[:, 192:208] = 32 + blocks[:, 192:208] % 64
    blocks[:, 208:] = np.array([_SPREAD / (18.47 * 66.1)], "<f2").view(np.uint8)
    return blocks


def _noise(use: str, seed: int, width: int) -> Any:
    """_POOL rows of `width` bytes that are the same on every machine."""
    stream = hashlib.shake_256(f"claimbench {use} {seed}".encode()).digest(_POOL * width)
    return np.frombuffer(stream, np.uint8).reshape(_POOL, width)


def _pieces(pool: memoryview, start: int, size: int) -> Iterator[bytes | memoryview]:
    """`size` bytes of the endlessly repeated pool, from `start` on, and the padding after them."""
    left = size
    while left:
        piece = pool[start : start + left]
        yield piece
        left -= len(piece)
        start = 0
    yield bytes(_padded(size) - size)
