"""Generated weights as an ONNX folder: a decoder as onnxruntime-genai's builder makes it for CPUs.

Matrices are of 4 bits with a scale per 32 weights, the embeddings among them; attention writes its
cache in place; logits are the last token's alone. Nodes and files are listed without the package
onnx, which only writing the graph needs.

Left out: the scaling of queries by which Ministral 3 looks further than 16,384 tokens, and M-RoPE.
Other architectures than `ARCHITECTURES` are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry
from harness.ask.models import Model
from harness.errors import BadFile, MissingError
from harness.prepare import onnx_rotary
from harness.prepare import synthetic_pool as pool
from harness.prepare.synthetic_gguf import epsilon

QUANTISATIONS = ("int4",)
ARCHITECTURES = ("llama", "smollm3", "mistral3", "qwen2", "qwen2vl")

_GRAPH, _DATA = "model.onnx", "model.onnx.data"
_BLOCK = 32
_ALIGNMENT = 4096
_BYTES_PER_NODE = 320  # of the graph's file, with the initialisers that belong to a node
_INTEGERS = 4  # MatMulNBits turns activations into 8 bits, as the builder asks for CPUs
_NO_ROPE_EVERY = 4  # SmolLM3's every fourth layer turns nothing
_INT32 = 6  # TensorProto.INT32
_MICROSOFT = (
    "GatherBlockQuantized",
    "GroupQueryAttention",
    "MatMulNBits",
    "SkipSimplifiedLayerNormalization",
)
_Node = tuple[str, list[str], list[str], dict[str, Any]]


@dataclass(frozen=True)
class Piece:
    """An initialiser, and the tensors by their GGUF names whose rows it holds one after another."""

    name: str
    tensors: tuple[str, ...]
    fill: str
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        return prod(self.shape) * (1 if self.fill == "nibbles" else 4)


class Graph:
    """A geometry's decoder as lists: `nodes` in order, and `pieces` as they lie in a file."""

    def __init__(self, shape: Geometry) -> None:
        self.nodes: list[_Node] = []
        self.pieces: list[Piece] = []
        self.size = 0
        self._shape, self._sizes = shape, dict(shape.tensors())
        self._epsilon = epsilon(shape)
        self._lengths()
        tables = (shape.context, (shape.rotary or shape.head_dim) // 2)
        self._rotary = [self._piece(name, (), name, tables) for name in ("cos", "sin")]
        hidden, branch = self._embeddings(), ""
        for layer in range(shape.layers):
            hidden, branch = self._layer(layer, hidden, branch)
        value, _ = self._norm("output_norm.weight", hidden, branch)
        last = self._add("Gather", [value, "last"], axis=1)
        last = self._add("Unsqueeze", [last, "one"])
        head = "token_embd.weight" if shape.tied else "output.weight"
        self._times(last, [head], output="logits")

    def _add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"value.{len(self.nodes)}"
        self.nodes.append((operator, inputs, [output], attributes))
        return output

    def _piece(self, name: str, tensors: tuple[str, ...], fill: str, shape: tuple[int, ...]) -> str:
        """Its name; a second use of it is the same piece."""
        if all(one.name != name for one in self.pieces):
            piece = Piece(name, tensors, fill, shape, self.size)
            self.pieces.append(piece)
            self.size += -(-piece.bytes // _ALIGNMENT) * _ALIGNMENT
        return name

    def _lengths(self) -> None:
        """What attention wants of the mask: the last place of each row, and the longest row."""
        counted = self._add("ReduceSum", ["attention_mask", "one"], keepdims=0)
        self._add("Cast", [self._add("Sub", [counted, "one"])], "lasts", to=_INT32)
        longest = self._add("Gather", [self._add("Shape", ["attention_mask"]), "second"])
        self._add("Cast", [longest], "longest", to=_INT32)

    def _quantised(self, tensors: list[str]) -> tuple[str, str]:
        rows = sum(self._sizes[one][0] for one in tensors)
        blocks = self._sizes[tensors[0]][1] // _BLOCK
        name, held = "+".join(tensors), tuple(tensors)
        nibbles = self._piece(f"{name}.q4", held, "nibbles", (rows, blocks, _BLOCK // 2))
        return nibbles, self._piece(f"{name}.scales", held, "scales", (rows, blocks))

    def _embeddings(self) -> str:
        table, scales = self._quantised(["token_embd.weight"])
        rows = self._add("Reshape", [table, "table"])
        blocks: dict[str, Any] = {
            "bits": 4,
            "block_size": _BLOCK,
            "gather_axis": 0,
            "quantize_axis": 1,
        }
        return self._add("GatherBlockQuantized", [rows, "input_ids", scales], **blocks)

    def _times(self, value: str, tensors: list[str], output: str = "") -> str:
        nibbles, scales = self._quantised(tensors)
        rows, columns = sum(self._sizes[one][0] for one in tensors), self._sizes[tensors[0]][1]
        sizes = {"K": columns, "N": rows, "bits": 4, "block_size": _BLOCK}
        return self._add(
            "MatMulNBits", [value, nibbles, scales], output, accuracy_level=_INTEGERS, **sizes
        )

    def _vector(self, *tensors: str) -> str:
        fill = "zeros" if tensors[0].endswith(".bias") else "ones"
        size = sum(self._sizes[one][0] for one in tensors)
        return self._piece("+".join(tensors), tensors, fill, (size,))

    def _norm(self, name: str, hidden: str, branch: str) -> tuple[str, str]:
        """The norm of their sum, and the sum; of `hidden` alone where there is no branch yet."""
        weight = self._vector(name)
        if not branch:
            value = self._add(
                "SimplifiedLayerNormalization",
                [hidden, weight],
                epsilon=self._epsilon,
                axis=-1,
                stash_type=1,
            )
            return value, hidden
        outputs = [f"{name}.value", "", "", f"{name}.sum"]
        given, inputs = {"epsilon": self._epsilon}, [hidden, branch, weight]
        self.nodes.append(("SkipSimplifiedLayerNormalization", inputs, outputs, given))
        return outputs[0], outputs[3]

    def _layer(self, layer: int, hidden: str, branch: str) -> tuple[str, str]:
        """The sum so far, and what its feed-forward adds."""
        name = f"blk.{layer}."
        value, hidden = self._norm(f"{name}attn_norm.weight", hidden, branch)
        parts = [f"{name}attn_{part}" for part in "qkv"]
        value = self._times(value, [f"{part}.weight" for part in parts])
        if self._shape.family.qkv_bias:
            value = self._add("Add", [value, self._vector(*(f"{part}.bias" for part in parts))])
        value = self._times(self._attention(layer, value), [f"{name}attn_output.weight"])
        value, hidden = self._norm(f"{name}ffn_norm.weight", hidden, value)
        gate = self._times(value, [f"{name}ffn_gate.weight"])
        gate = self._add("Mul", [gate, self._add("Sigmoid", [gate])])
        value = self._add("Mul", [gate, self._times(value, [f"{name}ffn_up.weight"])])
        return hidden, self._times(value, [f"{name}ffn_down.weight"])

    def _attention(self, layer: int, value: str) -> str:
        shape, name = self._shape, f"blk.{layer}.attended"
        turned = shape.architecture != "smollm3" or (layer + 1) % _NO_ROPE_EVERY
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        tables = self._rotary if turned else []
        given = {
            "num_heads": shape.heads,
            "kv_num_heads": shape.kv_heads,
            "scale": shape.head_dim**-0.5,
            "do_rotary": int(bool(turned)),
        }
        inputs = [value, "", "", *past, "lasts", "longest", *tables]
        self.nodes.append(("GroupQueryAttention", inputs, [name, *present], given))
        return name

    def numbers(self) -> dict[str, Any]:
        """Small initialisers by name."""
        table = [self._shape.vocabulary, self._shape.hidden // 2]
        known = {"one": [1], "second": 1, "last": -1, "table": table}
        return {name: np.array(value, np.int64) for name, value in known.items()}


def size(model: Model, quantisation: str) -> int:
    """Bytes of the folder, within 1 %."""
    graph = Graph(model.geometry)
    return graph.size + _BYTES_PER_NODE * len(graph.nodes) + 1000


def write(
    model: Model, quantisation: str, seed: int, part: Path, done: Callable[[int], None]
) -> dict[str, str]:
    """Writes the folder `part`, telling `done` the bytes so far; the sha256 of its weights."""
    shape = model.geometry
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
    shape = model.geometry
    if shape.architecture not in ARCHITECTURES:
        raise BadFile(f"{model.id}: {shape.architecture} is not among {', '.join(ARCHITECTURES)}")
    if odd := {size[-1] for _, size in shape.tensors() if len(size) > 1 and size[-1] % _BLOCK}:
        raise BadFile(f"{model.id}: rows of {min(odd)} values cannot be int4")


def _pool(fill: str, seed: int, shape: Geometry) -> memoryview:
    """The pool for what a piece is filled with; nibbles and scales go side by side."""
    if fill in ("cos", "sin"):
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
        helper.make_node(kind, into, out, "", "", "com.microsoft" * (kind in _MICROSOFT), **given)
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
    initialisers = [numpy_helper.from_array(one, at) for at, one in graph.numbers().items()]
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
