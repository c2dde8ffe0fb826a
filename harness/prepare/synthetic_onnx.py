"""Generated weights as an ONNX folder: the decoder of `onnx_decoder` and a file of weights.

Only writing the graph needs the package onnx.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry
from harness.ask.models import Model
from harness.errors import BadFile, MissingError
from harness.prepare import onnx_rotary
from harness.prepare import synthetic_pool as pool
from harness.prepare.onnx_decoder import BLOCK, MICROSOFT, Graph, Piece

QUANTISATIONS = ("int4",)

_GRAPH, _DATA = "model.onnx", "model.onnx.data"
_BYTES_PER_NODE = 320  # of the graph's file, with the initialisers that belong to a node


def size(model: Model, quantisation: str) -> int:
    """Bytes of the folder, within 1 %."""
    graph = Graph(model.need_geometry())
    return graph.size + _BYTES_PER_NODE * len(graph.nodes) + 1000


def write(
    model: Model, quantisation: str, seed: int, part: Path, done: Callable[[int], None]
) -> dict[str, str]:
    """Writes the folder `part`, telling `done` the bytes so far; the sha256 of its weights."""
    shape = model.need_geometry()
    _check(model)
    graph = Graph(shape)
    part.mkdir()
    (part / _GRAPH).write_bytes(proto(graph, shape, f"{model.name} (synthetic weights)"))
    config = {
        "claimbench_weights": "synthetic",
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "vocab_size": shape.vocabulary,
    }
    (part / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    pools, digest = pool.Pools(lambda fill: _pool(fill, seed, shape)), hashlib.sha256()
    with (part / _DATA).open("wb") as file:
        for piece in graph.pieces:
            padding = memoryview(bytes(piece.offset - file.tell()))
            for content in (padding, *pools.take(piece.fill, piece.bytes)):
                file.write(content)
                digest.update(content)
            done(file.tell())
    return {_DATA: digest.hexdigest()}


def _check(model: Model) -> None:
    matrices = [size for _, size in model.need_geometry().tensors() if len(size) > 1]
    if odd := {columns for _, columns in matrices if columns % BLOCK}:
        raise BadFile(f"{model.id}: rows of {min(odd)} values cannot be int4")


def _pool(fill: str, seed: int, shape: Geometry) -> memoryview:
    """The pool for what a piece is filled with; nibbles and scales go side by side."""
    if fill.startswith(("cos", "sin")):
        return pool.view(onnx_rotary.tables(shape)[fill])
    if fill in ("ones", "zeros"):
        return pool.view(np.full(pool.BLOCKS, float(fill == "ones"), "<f4"))
    nibbles, scales = quantised(pool.gaussian(seed))
    return pool.view(nibbles if fill == "nibbles" else scales)


def quantised(blocks: Any) -> tuple[Any, Any]:
    """Rows of 32 values as bytes of two, the first the lower half, and a scale each.

    The value furthest from zero becomes -8 times the scale; 8 is stored where 0 is meant.
    """
    furthest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    scales = (furthest / np.float32(-8)).astype("<f4")
    whole = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    stored = np.clip(np.rint(whole) + 8, 0, 15).astype(np.uint8)
    return stored[..., ::2] | stored[..., 1::2] << 4, scales[..., 0]


def proto(graph: Graph, shape: Geometry, name: str) -> bytes:
    """The file beside the weights. Raises MissingError without the package onnx."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingError(
            "synthetic ONNX folders need the package onnx; "
            "run: python -m pip install 'claimbench[export]'"
        ) from error
    nodes = [
        helper.make_node(kind, into, out, "", "", "com.microsoft" * (kind in MICROSOFT), **given)
        for kind, into, out, given in graph.nodes
    ]
    past: list[str | int | None] = ["batch", shape.kv_heads, "past", shape.head_dim]
    total: list[str | int | None] = ["batch", shape.kv_heads, "total", shape.head_dim]
    parts = [f"{layer}.{part}" for layer in range(shape.layers) for part in ("key", "value")]
    value, whole, real = helper.make_tensor_value_info, TensorProto.INT64, TensorProto.FLOAT
    inputs = [
        value("input_ids", whole, ["batch", "tokens"]),
        value("attention_mask", whole, ["batch", "total"]),
        *(value(f"past_key_values.{part}", real, past) for part in parts),
    ]
    outputs = [
        value("logits", real, ["batch", 1, shape.vocabulary]),
        *(value(f"present.{part}", real, total) for part in parts),
    ]
    initialisers = [numpy_helper.from_array(one, at) for at, one in graph.numbers.items()]
    initialisers += [_outside(piece) for piece in graph.pieces]
    made = helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, initialisers),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)],
        ir_version=10,
        producer_name="claimbench",
    )
    helper.set_model_props(made, {"claimbench.weights": "synthetic"})
    return bytes(made.SerializeToString(deterministic=True))


def _outside(piece: Piece) -> Any:
    """An initialiser that lies in the file of weights."""
    from onnx import TensorProto

    kind = TensorProto.UINT8 if piece.fill == "nibbles" else TensorProto.FLOAT
    made = TensorProto(name=piece.name, data_type=kind, dims=piece.shape)
    made.data_location = TensorProto.EXTERNAL
    for key, value in (("location", _DATA), ("offset", piece.offset), ("length", piece.bytes)):
        made.external_data.add(key=key, value=str(value))
    return made
