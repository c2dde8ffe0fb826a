"""A geometry's decoder in ONNX Runtime's terms, as onnxruntime-genai's builder makes it for CPUs.

Matrices are of 4 bits with a scale per 32 weights, the embeddings among them; attention writes its
cache in place; logits are the last token's alone. Nodes and initialisers are only listed, which
needs no package; `synthetic_onnx` writes them.

Left out: the scaling of queries by which Ministral 3 looks further than 16,384 tokens, M-RoPE, and
what scales RoPE other than YaRN (in Llama 3.1, Phi 3.5 and Gemma 3 4B).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from harness.ask.geometry import Geometry
from harness.prepare.synthetic_gguf import epsilon

BLOCK = 32
"""Weights that share a scale."""
MICROSOFT = (
    "FastGelu",
    "GatherBlockQuantized",
    "GroupQueryAttention",
    "MatMulNBits",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
)
"""Operators that are ONNX Runtime's own, not the standard's."""

_ALIGNMENT = 4096
_INTEGERS = 4  # MatMulNBits turns activations into 8 bits, as the builder asks for CPUs
_INT32 = 6  # TensorProto.INT32
_NO_ROPE_EVERY = 4  # SmolLM3's every fourth layer turns nothing
_GEMMA = ("gemma2", "gemma3")
_GELU = ("phi2", *_GEMMA)  # activated by its tanh form, all others by SiLU
_CAPPED = "gemma2"  # bends scores and logits so that none goes beyond a cap
_SCORE_CAP, _LOGIT_CAP = 50.0, 30.0
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
    """`nodes` in order, `pieces` as they lie in a file, and small initialisers, the `numbers`."""

    def __init__(self, shape: Geometry) -> None:
        self.nodes: list[_Node] = []
        self.pieces: list[Piece] = []
        self.size = 0
        table = [shape.vocabulary, shape.hidden // 2]
        known = {"one": [1], "second": 1, "last": -1, "table": table}
        self.numbers = {name: np.array(value, np.int64) for name, value in known.items()}
        self._shape, self._sizes = shape, dict(shape.tensors())
        self._epsilon = epsilon(shape)
        self._lengths()
        self._rotary = self._local = self._tables("cos", "sin")
        if shape.family.local_theta:
            self._local = self._tables("cos.local", "sin.local")
        hidden, branch = self._embeddings(), ""
        for layer in range(shape.layers):
            hidden, branch = self._layer(layer, hidden, branch)
        value, _ = self._norm("output_norm", hidden, branch)
        self._logits(value)

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

    def _number(self, name: str, value: float | list[int]) -> str:
        kind = np.float32 if isinstance(value, float) else np.int64
        self.numbers[name] = np.array(value, kind)
        return name

    def _lengths(self) -> None:
        """What attention wants of the mask: the last place of each row, and the longest row."""
        counted = self._add("ReduceSum", ["attention_mask", "one"], keepdims=0)
        self._add("Cast", [self._add("Sub", [counted, "one"])], "lasts", to=_INT32)
        longest = self._add("Gather", [self._add("Shape", ["attention_mask"]), "second"])
        self._add("Cast", [longest], "longest", to=_INT32)

    def _tables(self, *names: str) -> list[str]:
        shape = self._shape
        size = (shape.context, (shape.rotary or shape.head_dim) // 2)
        return [self._piece(name, (), name, size) for name in names]

    def _quantised(self, matrices: list[str]) -> tuple[str, str]:
        tensors = tuple(f"{one}.weight" for one in matrices)
        rows = sum(self._sizes[one][0] for one in tensors)
        blocks, name = self._sizes[tensors[0]][1] // BLOCK, "+".join(tensors)
        nibbles = self._piece(f"{name}.q4", tensors, "nibbles", (rows, blocks, BLOCK // 2))
        return nibbles, self._piece(f"{name}.scales", tensors, "scales", (rows, blocks))

    def _embeddings(self) -> str:
        table, scales = self._quantised(["token_embd"])
        rows = self._add("Reshape", [table, "table"])
        blocks: dict[str, Any] = {
            "bits": 4,
            "block_size": BLOCK,
            "gather_axis": 0,
            "quantize_axis": 1,
        }
        value = self._add("GatherBlockQuantized", [rows, "input_ids", scales], **blocks)
        if self._shape.architecture not in _GEMMA:
            return value
        return self._add("Mul", [value, self._number("root", self._shape.hidden**0.5)])

    def _logits(self, value: str) -> None:
        last = self._add("Gather", [value, "last"], axis=1)
        last = self._add("Unsqueeze", [last, "one"])
        head = ["token_embd" if self._shape.tied else "output"]
        if self._shape.architecture != _CAPPED:
            self._times(last, head, output="logits")
            return
        cap = self._number("cap", _LOGIT_CAP)
        bent = self._add("Tanh", [self._add("Div", [self._times(last, head), cap])])
        self._add("Mul", [bent, cap], output="logits")

    def _times(self, value: str, matrices: list[str], output: str = "") -> str:
        """By matrices as if they were one, and plus their biases where they have some."""
        nibbles, scales = self._quantised(matrices)
        rows = sum(self._sizes[f"{one}.weight"][0] for one in matrices)
        columns = self._sizes[f"{matrices[0]}.weight"][1]
        sizes = {"K": columns, "N": rows, "bits": 4, "block_size": BLOCK}
        biases = [f"{one}.bias" for one in matrices if f"{one}.bias" in self._sizes]
        inputs, given = [value, nibbles, scales], {"accuracy_level": _INTEGERS, **sizes}
        product = self._add("MatMulNBits", inputs, "" if biases else output, **given)
        return self._add("Add", [product, self._vector(*biases)], output) if biases else product

    def _vector(self, *tensors: str) -> str:
        fill = "zeros" if tensors[0].endswith(".bias") else "ones"
        size = sum(self._sizes[one][0] for one in tensors)
        return self._piece("+".join(tensors), tensors, fill, (size,))

    def _norm(self, name: str, hidden: str, branch: str = "") -> tuple[str, str]:
        """The norm of their sum, and the sum; of `hidden` alone where there is no branch."""
        names = (f"{name}.weight", f"{name}.bias")
        held = [self._vector(one) for one in names if one in self._sizes]
        kind = "SimplifiedLayerNormalization" if len(held) == 1 else "LayerNormalization"
        if not branch:
            given: dict[str, Any] = {"epsilon": self._epsilon, "axis": -1, "stash_type": 1}
            return self._add(kind, [hidden, *held], **given), hidden
        outputs = [f"{name}.weight.value", "", "", f"{name}.weight.sum"]
        inputs = [hidden, branch, *held]
        self.nodes.append((f"Skip{kind}", inputs, outputs, {"epsilon": self._epsilon}))
        return outputs[0], outputs[3]

    def _layer(self, layer: int, hidden: str, branch: str) -> tuple[str, str]:
        """The sum so far, and what is still to be added to it."""
        name = f"blk.{layer}."
        value, hidden = self._norm(f"{name}attn_norm", hidden, branch)
        attended = self._times(self._attention(layer, value), [f"{name}attn_output"])
        if self._shape.family.plain:
            return hidden, self._add("Add", [attended, self._feed_forward(name, value)])
        attended = self._after(f"{name}post_attention_norm", attended)
        value, hidden = self._norm(f"{name}ffn_norm", hidden, attended)
        return hidden, self._after(f"{name}post_ffw_norm", self._feed_forward(name, value))

    def _after(self, name: str, value: str) -> str:
        """The norm behind a part, where the family has one."""
        return self._norm(name, value)[0] if self._shape.family.post_norms else value

    def _feed_forward(self, name: str, value: str) -> str:
        family, up = self._shape.family, [f"{name}ffn_up"]
        if family.plain:
            value = self._activated(self._times(value, up))
        elif family.fused:
            both, halves = self._times(value, up), [f"{name}gate", f"{name}up"]
            self.nodes.append(("Split", [both], halves, {"axis": -1, "num_outputs": 2}))
            value = self._add("Mul", [self._activated(halves[0]), halves[1]])
        else:
            gate = self._activated(self._times(value, [f"{name}ffn_gate"]))
            value = self._add("Mul", [gate, self._times(value, up)])
        return self._times(value, [f"{name}ffn_down"])

    def _activated(self, value: str) -> str:
        if self._shape.architecture in _GELU:
            return self._add("FastGelu", [value])
        return self._add("Mul", [value, self._add("Sigmoid", [value])])

    def _attention(self, layer: int, value: str) -> str:
        shape, name = self._shape, f"blk.{layer}.attended"
        turned = shape.architecture != "smollm3" or (layer + 1) % _NO_ROPE_EVERY
        local = shape.window and (layer + 1) % (shape.global_every or 1)
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        tables = (self._local if local else self._rotary) if turned else []
        given: dict[str, Any] = {
            "num_heads": shape.heads,
            "kv_num_heads": shape.kv_heads,
            "scale": shape.head_dim**-0.5,
            "do_rotary": int(bool(turned)),
        }
        if local:
            given["local_window_size"] = shape.window
        if shape.architecture == _CAPPED:
            given["softcap"] = _SCORE_CAP
        inputs = [*self._looked_up(layer, value), *past, "lasts", "longest", *tables]
        self.nodes.append(("GroupQueryAttention", inputs, [name, *present], given))
        return name

    def _looked_up(self, layer: int, value: str) -> list[str]:
        """Queries, keys and values: side by side in one, unless heads are normalised before."""
        shape, name = self._shape, f"blk.{layer}.attn_"
        if shape.family.fused:
            return [self._times(value, [f"{name}qkv"]), "", ""]
        parts = [f"{name}{part}" for part in "qkv"]
        if not shape.family.head_norms:
            return [self._times(value, parts), "", ""]
        queries, keys, values = (self._times(value, [part]) for part in parts)
        queries = self._head_norm(f"{name}q_norm", queries, "queries", shape.heads)
        return [queries, self._head_norm(f"{name}k_norm", keys, "keys", shape.kv_heads), values]

    def _head_norm(self, name: str, value: str, kind: str, heads: int) -> str:
        """Heads stand one after another in a row of their own while they are normalised."""
        size = self._shape.head_dim
        apart = self._add("Reshape", [value, self._number("head", [0, -1, size])])
        whole = self._number(kind, [0, -1, heads * size])
        return self._add("Reshape", [self._norm(name, apart)[0], whole])
