"""What runtimes do with logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.run.runtimes import Mask


def likeliest(logits: NDArray[np.float32], top: int) -> list[tuple[int, float]]:
    """The `top` likeliest tokens and their log-probabilities, likeliest first.

    `logits`: of one position, over the vocabulary. Of equal ones the lower token comes first.
    """
    if not top:
        return []
    wide = _normalised(logits)
    order = np.argsort(-wide, kind="stable")[:top]
    return [(int(token), float(wide[token])) for token in order]


def log_probabilities(logits: NDArray[np.float32], tokens: Sequence[int]) -> list[float]:
    """Of some tokens, by the logits of one position over the vocabulary."""
    wide = _normalised(logits)
    return [float(wide[token]) for token in tokens]


class Places:
    """What is read at the places of some options, in the order in which it is read."""

    def __init__(self, options: int) -> None:
        self.logprobs: list[list[float]] = [[] for _ in range(options)]
        self.likeliest: list[list[int]] = [[] for _ in range(options)]

    def read(self, logits: NDArray[np.float32], wanted: Sequence[tuple[int, int]]) -> None:
        """One place, by its logits: options, each with its token there."""
        best = int(logits.argmax())
        options, tokens = zip(*wanted, strict=True)
        for option, one in zip(options, log_probabilities(logits, tokens), strict=True):
            self.logprobs[option].append(one)
            self.likeliest[option].append(best)


Pick = Callable[[NDArray[np.float32], list[int]], int]
"""The next token, by its logits and the new tokens before it."""


def picker(mask: Mask | None) -> Pick:
    """Greedy: the likeliest token, of equal ones the first; with a mask, of those it allows."""
    if mask is None:
        return lambda logits, _: int(logits.argmax())
    return lambda logits, said: int(np.where(mask(said), logits, -np.inf).argmax())


def _normalised(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    wide -= np.log(np.exp(wide).sum())
    return wide
