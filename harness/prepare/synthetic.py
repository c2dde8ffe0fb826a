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
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.models import Artifact, Geometry, Model, SyntheticSource
from harness.errors import BadFile, MissingError, UnknownName
from harness.prepare import Need
from harness.prepare.store import Progress

_WRITER = 1  # raise it with any change of the bytes: cached files are then made again
_BLOCK = 32  # values that share a scale
_BLOCK_BYTES = {"Q4_0": 18, "Q8_0": 34}
_ALIGNMENT = 32
_POOL = 262_139  # blocks to tile from; a prime, so that no two rows of a matrix begin alike
_SPREAD = 0.02  # standard deviation of a weight, as transformers are initialised

# From the published configurations (transformers: llama, smollm3 and ministral3).
_RMS_EPSILON = {"llama": 1e-5, "smollm3": 1e-6, "mistral3": 1e-5}


def file_name(model: Model, artifact: Artifact) -> str:
    """Says what it is, also to someone who finds the file alone."""
    return f"{model.id}-{artifact.quantisation}.synthetic.gguf"


def identity(model: Model, artifact: Artifact) -> str:
    """A hash of all that the bytes follow from: name, geometry, quantisation, seed, writer."""
    if artifact.quantisation not in _BLOCK_BYTES:
        raise UnknownName("quantisation to generate", artifact.quantisation, _BLOCK_BYTES)
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
    for name, shape in _tensors(model.geometry):
        size += len(name) + 24 + 8 * len(shape)
        size += _padded(_bytes(shape, artifact.quantisation))
    return Need(present=False, download_bytes=0, disk_bytes=size)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> str:
    """Writes the file piece by piece: memory stays far below the model's size. Its sha256.

    Raises MissingError without the package gguf, BadFile for a geometry that cannot be quantised.
    """
    gguf = _gguf()
    quantisation = artifact.quantisation
    _write_header(gguf, model, quantisation, part)
    pool = memoryview(_pool(gguf, quantisation, _seed(artifact))).cast("B")
    total = cost(model, artifact).disk_bytes
    start = 0
    with part.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        for _, shape in _tensors(model.geometry):
            size = _bytes(shape, quantisation)
            pieces = [_ones(shape)] if len(shape) == 1 else _tiles(pool, start, size)
            for piece in (*pieces, bytes(_padded(size) - size)):
                file.write(piece)
                digest.update(piece)
            if len(shape) == 2:
                start = (start + size) % len(pool)
            progress(f"writing {model.id} {quantisation}", min(file.tell(), total), total)
    progress(f"writing {model.id} {quantisation}", total, total)
    return digest.hexdigest()


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


def _tensors(shape: Geometry) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and (rows, columns) of each tensor in file order; norms have only one dimension."""
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


def _bytes(shape: tuple[int, ...], quantisation: str) -> int:
    """The size of a tensor: matrices quantised, norms in F32."""
    if len(shape) == 1:
        return 4 * shape[0]
    return prod(shape) // _BLOCK * _BLOCK_BYTES[quantisation]


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _write_header(gguf: Any, model: Model, quantisation: str, part: Path) -> None:
    """Metadata and the table of tensors, up to where the first tensor begins."""
    shape = model.geometry
    writer = gguf.GGUFWriter(part, shape.architecture)
    writer.add_name(f"{model.name} (synthetic weights)")
    writer.add_string("claimbench.weights", "synthetic")
    writer.add_file_type(getattr(gguf.LlamaFileType, f"MOSTLY_{quantisation}"))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("none")
    _add_shape(gguf, writer, shape)
    kind = gguf.GGMLQuantizationType[quantisation]
    for name, size in _tensors(shape):
        if len(size) == 2 and size[1] % _BLOCK:
            raise BadFile(f"{model.id}: rows of {size[1]} values cannot be {quantisation}")
        single = gguf.GGMLQuantizationType.F32 if len(size) == 1 else kind
        # Not uint8: then the writer would take the shape for one in bytes.
        writer.add_tensor_info(
            name, size, np.dtype(np.float32), _bytes(size, quantisation), raw_dtype=single
        )
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


def _pool(gguf: Any, quantisation: str, seed: int) -> Any:
    """_POOL quantised blocks of nearly Gaussian values, as an array of bytes.

    A value is the sum of four bytes of SHAKE-256: mean 510, variance 4 * (256² - 1) / 12.
    """
    stream = hashlib.shake_256(f"claimbench {seed}".encode()).digest(_POOL * _BLOCK * 4)
    bytes_ = np.frombuffer(stream, np.uint8).reshape(_POOL, _BLOCK, 4)
    values = (bytes_.sum(axis=2, dtype=np.int16) - 510).astype(np.float32)
    values *= np.float32(_SPREAD / 147.8)
    return np.ascontiguousarray(gguf.quantize(values, gguf.GGMLQuantizationType[quantisation]))


def _tiles(pool: memoryview, start: int, size: int) -> Iterator[memoryview]:
    """`size` bytes of the endlessly repeated pool, from `start` on."""
    while size:
        piece = pool[start : start + size]
        yield piece
        size -= len(piece)
        start = 0


def _ones(shape: tuple[int, ...]) -> bytes:
    return np.ones(shape, "<f4").tobytes()
