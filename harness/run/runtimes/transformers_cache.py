"""The KV cache of transformers, with room for the whole context from the start.

The library's own grows by copying all of itself for each token.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

Pair = tuple[torch.Tensor, torch.Tensor]


class Room(DynamicLayer):  # type: ignore[misc]  # the library counts as untyped
    """Keys and values of one layer, written into room that is there already."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self._keys, self._values = keys, values
        self.keys, self.values = keys[:, :, :0], values[:, :, :0]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> Pair:
        start, new = self.keys.shape[2], key_states.shape[2]
        self._keys.narrow(2, start, new).copy_(key_states)  # raises where the room ends
        self._values.narrow(2, start, new).copy_(value_states)
        self.keys = self._keys[:, :, : start + new]
        self.values = self._values[:, :, : start + new]
        return self.keys, self.values

    def back_to(self, tokens: int) -> None:
        """Forgets what came after so many tokens."""
        self.keys, self.values = self._keys[:, :, :tokens], self._values[:, :, :tokens]


class Step(DynamicLayer):  # type: ignore[misc]  # the library counts as untyped
    """One more token in each row of a layer's room, after as many as the row holds.

    `held`: shape (rows,). `most`: what the longest row then holds; shorter ones are to be masked.
    """

    def __init__(
        self, keys: torch.Tensor, values: torch.Tensor, held: torch.Tensor, most: int
    ) -> None:
        super().__init__()
        self._held, self._rows = held, torch.arange(len(held), device=held.device)
        self._whole = keys, values
        self.keys, self.values = keys[:, :, :most], values[:, :, :most]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> Pair:
        for whole, states in zip(self._whole, (key_states, value_states), strict=True):
            whole[self._rows, :, self._held] = states[:, :, 0]
        return self.keys, self.values


def rooms(layers: list[Any], length: int, prompts: int) -> list[Pair | None]:
    """For keys and values of each layer that keeps every token, a row for each prompt.

    Heads and their sizes are those that the layers, which hold a token, have.

    In one piece, as small ones would fill gaps in the heap, and of zeros, so that the memory is
    taken now: a context shall be seen to cost what it costs.
    """
    keeping = [layer for layer in layers if type(layer) is DynamicLayer]
    states = [states for layer in keeping for states in (layer.keys, layer.values)]
    shapes = [(prompts, one.shape[1], length, one.shape[3]) for one in states]
    sizes = [prod(shape) for shape in shapes]
    whole = states[0].new_zeros(sum(sizes)) if states else torch.empty(0)
    parts = (part.view(shape) for part, shape in zip(whole.split(sizes), shapes, strict=True))
    return [(next(parts), next(parts)) if layer in keeping else None for layer in layers]
