"""The shape of a model: what of its published configuration sets its size and its speed.

Left out, for they change neither: scaling of RoPE beyond YaRN (llama3, linear, longrope), M-RoPE's
sections, logit caps and scales, activation functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from harness.ask.yaml_file import Row

Shape = tuple[int, ...]
Tensors = Iterator[tuple[str, Shape]]

Architecture = Literal[
    "llama", "smollm3", "mistral3", "qwen2", "qwen2vl", "phi2", "phi3", "gemma2", "gemma3"
]


@dataclass(frozen=True)
class Family:
    """In what an architecture differs from llama's: RMS norms, gated feed-forward, no biases."""

    qkv_bias: bool = False
    biases: bool = False
    """On every other matrix and norm, the output's included; the norms are layer norms then."""
    fused: bool = False
    """Queries, keys and values are one matrix; so are the two of the gated feed-forward."""
    plain: bool = False
    """The feed-forward has no gate and stands beside attention, under the same norm."""
    post_norms: bool = False
    head_norms: bool = False
    """Queries and keys are normalised head by head."""
    local_theta: float | None = None
    """The base of RoPE in local layers, where it is not that of the others."""


FAMILIES: dict[Architecture, Family] = {
    "llama": Family(),
    "smollm3": Family(),
    "mistral3": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen2vl": Family(qkv_bias=True),
    "phi2": Family(qkv_bias=True, biases=True, plain=True),
    "phi3": Family(fused=True),
    "gemma2": Family(post_norms=True),
    "gemma3": Family(post_norms=True, head_norms=True, local_theta=10000.0),
}


class Geometry(Row):
    """The shape of a decoder-only transformer, as its published configuration gives it."""

    architecture: Architecture
    """llama.cpp's name; Mistral's models up to Small 3.1 are `llama` there."""
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    context: int
    rope_theta: float
    tied: bool
    yarn_factor: float | None = None
    yarn_original_context: int | None = None
    rotary: int | None = None
    """Values of a head that RoPE turns, where it is not all of them."""
    window: int | None = None
    """Tokens that a local layer looks back over, itself included."""
    global_every: int | None = None
    """Where there is a window: each so-manieth layer has none."""

    @property
    def family(self) -> Family:
        return FAMILIES[self.architecture]

    @property
    def global_layers(self) -> int:
        """Layers that attend to the whole context."""
        return self.layers // self.global_every if self.global_every else self.layers

    def parameters(self) -> int:
        """Weights of the text part."""
        return sum(prod(shape) for _, shape in self.tensors())

    def kv_bytes_per_token(self, bytes_per_value: float = 2) -> int:
        """K and V that one more token adds; 2 bytes a value is fp16.

        Local layers add nothing once their window is full: they forget as much.
        """
        return int(2 * self.global_layers * self.kv_heads * self.head_dim * bytes_per_value)

    def kv_bytes(self, tokens: int) -> int:
        """K and V of a context at fp16. A runtime may keep up to a batch more per local layer."""
        local = 4 * (self.layers - self.global_layers) * self.kv_heads * self.head_dim
        return self.kv_bytes_per_token() * tokens + local * min(tokens, self.window or 0)

    def tensors(self) -> Tensors:
        """Every tensor by its name in GGUF, in the order of a file; matrices as (rows, columns)."""
        yield "token_embd.weight", (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            for name, shape in self._layer():
                yield f"blk.{layer}.{name}", shape
        yield from self._norm("output_norm")
        if not self.tied:
            yield from _matrix("output", self.vocabulary, self.hidden, self.family.biases)

    def _layer(self) -> Tensors:
        family = self.family
        yield from self._norm("attn_norm")
        yield from self._attention()
        if family.post_norms:
            yield from self._norm("post_attention_norm")
        if not family.plain:
            yield from self._norm("ffn_norm")
        if not (family.plain or family.fused):
            yield from _matrix("ffn_gate", self.ffn, self.hidden)
        rows = 2 * self.ffn if family.fused else self.ffn
        yield from _matrix("ffn_up", rows, self.hidden, family.biases)
        yield from _matrix("ffn_down", self.hidden, self.ffn, family.biases)
        if family.post_norms:
            yield from self._norm("post_ffw_norm")

    def _attention(self) -> Tensors:
        family, hidden = self.family, self.hidden
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        if family.fused:
            yield from _matrix("attn_qkv", queries + 2 * keys, hidden, family.qkv_bias)
        else:
            for name, rows in (("attn_q", queries), ("attn_k", keys), ("attn_v", keys)):
                yield from _matrix(name, rows, hidden, family.qkv_bias)
        if family.head_norms:
            yield "attn_q_norm.weight", (self.head_dim,)
            yield "attn_k_norm.weight", (self.head_dim,)
        yield from _matrix("attn_output", hidden, queries, family.biases)

    def _norm(self, name: str) -> Tensors:
        yield f"{name}.weight", (self.hidden,)
        if self.family.biases:
            yield f"{name}.bias", (self.hidden,)


def _matrix(name: str, rows: int, columns: int, bias: bool = False) -> Tensors:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)


class Vision(Row):
    """The vision tower, and what connects it to the text part."""

    architecture: Literal["siglip", "clip", "pixtral", "qwen2.5-vl"]
    hidden: int
    layers: int
    heads: int
    ffn: int
    patch: int
    image: int
    """Pixels of a tile's side; the longest side where images are taken in their own shape."""
    merge: int = 1
    """Patches a side that become one token: SmolVLM's pixel shuffle, others' patch merger."""
    tokens_per_tile: int | None = None
    """Tokens of the text part that one tile becomes; null where that follows the image's shape."""
    connector: list[tuple[int, int]]
    """Its matrices, as values in and out."""

    def parameters(self) -> int:
        """Weights of tower and connector; the connector's biases and norms (< 0.1 %) left out."""
        hidden, gated = self.hidden, self.architecture in ("pixtral", "qwen2.5-vl")
        layer = 4 * hidden**2 + (3 if gated else 2) * hidden * self.ffn + 2 * hidden
        if self.architecture != "pixtral":
            layer += 4 * hidden + (2 if gated else 1) * self.ffn + hidden  # biases
        if not gated:
            layer += 2 * hidden  # those of its layer norms
        connector = sum(into * out for into, out in self.connector)
        return self.layers * layer + self._embedding() + connector

    def _embedding(self) -> int:
        """Patches (Qwen's span two frames), positions where they are learnt, norms around."""
        pixels = 3 * self.patch**2 * (2 if self.architecture == "qwen2.5-vl" else 1)
        if self.architecture in ("pixtral", "qwen2.5-vl"):
            return (pixels + 1) * self.hidden
        positions = (self.image // self.patch) ** 2
        extra = 6 if self.architecture == "clip" else 3  # class token and norms; bias and norm
        return (pixels + positions + extra) * self.hidden
