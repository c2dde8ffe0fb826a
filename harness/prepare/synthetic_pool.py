"""Where generated weights come from: a pool that is the same on every machine.

Integer sums of a hash's output rather than a library's random numbers, whose order may change.
Tensors are cut from the endlessly repeated pool, each from where the last one of its kind ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BLOCKS = 131_101
"""Blocks to cut from. A prime, so that rows begin alike only where they are so many apart."""
SPREAD = 0.02
"""Standard deviation of a weight, as transformers are initialised."""


class Pools:
    """One pool per kind, made by `make` when it is first needed."""

    def __init__(self, make: Callable[[str], memoryview]) -> None:
        self._make = make
        self._pools: dict[str, memoryview] = {}
        self._starts: dict[str, int] = {}

    def take(self, kind: str, size: int) -> Iterator[memoryview]:
        """The next `size` bytes of `kind`, in pieces."""
        if kind not in self._pools:
            self._pools[kind], self._starts[kind] = self._make(kind), 0
        pool, start = self._pools[kind], self._starts[kind]
        self._starts[kind] = (start + size) % len(pool)
        while size:
            piece = pool[start : start + size]
            yield piece
            size -= len(piece)
            start = 0


def view(values: Any) -> memoryview:
    """An array's bytes."""
    return np.ascontiguousarray(values).data.cast("B")


def gaussian(seed: int) -> Any:
    """Blocks of 32 values: sums of four bytes, of mean 510 and variance 4 * (256² - 1) / 12."""
    sums = noise("gaussian", seed, 32 * 4).reshape(4, BLOCKS, 32).sum(axis=0, dtype=np.int16)
    values = (sums - 510).astype(np.float32)
    values *= np.float32(SPREAD / 147.8)
    return values


def noise(use: str, seed: int, width: int) -> Any:
    """As many rows of `width` bytes as there are blocks."""
    stream = hashlib.shake_256(f"claimbench {use} {seed}".encode()).digest(BLOCKS * width)
    return np.frombuffer(stream, np.uint8).reshape(BLOCKS, width)
