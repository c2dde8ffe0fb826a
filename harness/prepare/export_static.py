"""An Idefics3 or SmolVLM with a Llama as its text part, in operators and shapes that NPUs take.

The weights and the arithmetic are the model's own but for two things. Norms by the root of the mean
square are written as a division by the length, without the epsilon that keeps a row of zeros from
dividing by zero: Qualcomm's compiler has that as one operator, and the emulator got the other form
wrong for a single row. And a query meets the keys of its group as they are, not repeated.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Vision(nn.Module):  # type: ignore[misc]
    """One whole tile, without padding, to its features."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower, self.connector = model.vision_model, model.connector
        self.places = nn.Buffer(_places(self.tower.embeddings))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.tower.embeddings.patch_embedding(pixels[0])
        hidden = patches.flatten(2).transpose(1, 2) + self.places
        for layer in self.tower.encoder.layers:
            hidden = layer(hidden, attention_mask=None)
        features: Tensor = self.connector(self.tower.post_layernorm(hidden))
        return features


def _places(embeddings: Any) -> Tensor:
    """What the model adds to the patches of a whole tile, by its own rule."""
    side = embeddings.num_patches_per_side
    pixels = torch.zeros(1, 3, embeddings.image_size, embeddings.image_size)
    whole = embeddings(pixels, torch.ones(1, side, side, dtype=torch.bool))
    found: Tensor = whole - embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
    return found


class Text(nn.Module):  # type: ignore[misc]
    """Some tokens after a cache of fixed length: their logits, keys and values."""

    def __init__(self, model: Any, context: int) -> None:
        super().__init__()
        self.config, text = model.config.text_config, model.model.text_model
        self.head, self.norm = model.lm_head, _Norm(text.norm)
        self.layers = nn.ModuleList(_Layer(layer, self.config) for layer in text.layers)
        angles = text.rotary_emb(torch.zeros(1), torch.arange(context)[None])
        self.cos, self.sin = (nn.Buffer(one[0]) for one in angles)

    def forward(
        self, hidden: Tensor, bias: Tensor, positions: Tensor, past: list[Tensor]
    ) -> list[Tensor]:
        turn = [nn.functional.embedding(positions, one)[:, None] for one in (self.cos, self.sin)]
        new = []
        for at, layer in enumerate(self.layers):
            hidden, *fresh = layer(hidden, bias, turn, past[2 * at : 2 * at + 2])
            new += fresh
        return [self.head(self.norm(hidden)), *new]


class _Layer(nn.Module):  # type: ignore[misc]
    def __init__(self, layer: Any, config: Any) -> None:
        super().__init__()
        self.attention, self.mlp, self.config = layer.self_attn, layer.mlp, config
        self.before, self.between = (
            _Norm(layer.input_layernorm),
            _Norm(layer.post_attention_layernorm),
        )

    def forward(
        self, hidden: Tensor, bias: Tensor, turn: list[Tensor], past: list[Tensor]
    ) -> list[Tensor]:
        mixed, key, value = self._attend(self.before(hidden), bias, turn, past)
        hidden = hidden + mixed
        return [hidden + self.mlp(self.between(hidden)), key, value]

    def _attend(
        self, hidden: Tensor, bias: Tensor, turn: list[Tensor], past: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        tokens, size, groups = hidden.shape[1], self.attention.head_dim, past[0].shape[1]
        parts = (self.attention.q_proj, self.attention.k_proj, self.attention.v_proj)
        query, key, value = (
            part(hidden).view(1, tokens, -1, size).transpose(1, 2) for part in parts
        )
        query, key = _turned(query, turn), _turned(key, turn)
        keys, values = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        heads = query.shape[1]
        scores = query.reshape(1, groups, -1, size) @ keys.transpose(2, 3)
        scores = scores.reshape(1, heads, tokens, -1) * self.attention.scaling + bias
        shares = torch.softmax(scores, -1).reshape(1, groups, heads // groups * tokens, -1)
        mixed = (shares @ values).reshape(1, heads, tokens, size).transpose(1, 2)
        return self.attention.o_proj(mixed.reshape(1, tokens, -1)), key, value


class _Norm(nn.Module):  # type: ignore[misc]
    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(norm.weight * norm.weight.numel() ** 0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        """Exported as ONNX's own operator. In PyTorch it gives zeros: the graph alone can run."""
        length_one = torch.onnx.ops.symbolic(
            "LpNormalization",
            (hidden,),
            {"axis": -1, "p": 2},
            dtype=hidden.dtype,
            shape=hidden.shape,
            version=20,
        )
        scaled: Tensor = length_one * self.weight
        return scaled


def _turned(part: Tensor, turn: list[Tensor]) -> Tensor:
    """By RoPE, to its position."""
    first, second = part.chunk(2, -1)
    return part * turn[0] + torch.cat([-second, first], -1) * turn[1]
