"""A prefix and the options that may follow it, as tokens to be computed once and in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Node:
    """A token at a place, of the prefix (`option` None) or of one option.

    `next`: options and their tokens whose probability is read here. The last token of an option is
    no node: nothing follows it.
    """

    token: int
    position: int
    option: int | None
    next: tuple[tuple[int, int], ...] = ()


def nodes(prefix: Sequence[int], kept: int, options: Sequence[Sequence[int]]) -> list[Node]:
    """What is left to compute where the first `kept` tokens of `prefix` were before."""
    last = len(prefix) - 1
    firsts = tuple((at, option[0]) for at, option in enumerate(options))
    rest = [Node(prefix[at], at, None) for at in range(kept, last)]
    branches = [
        Node(token, len(prefix) + step, at, ((at, following),))
        for at, option in enumerate(options)
        for step, (token, following) in enumerate(pairwise(option))
    ]
    return [*rest, Node(prefix[last], last, None, firsts), *branches]


def sees(tree: Sequence[Node]) -> NDArray[np.bool_]:
    """Whether the token of a row may look at that of a column: back, and not at other options."""
    option = np.array([-1 if node.option is None else node.option for node in tree])
    same = (option[None, :] == -1) | (option[None, :] == option[:, None])
    whole: NDArray[np.bool_] = np.tril(same)
    return whole


def reusable(held: Sequence[int], prefix: Sequence[int]) -> int:
    """How many tokens the two begin with alike, short of the last, whose logits are wanted."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(held, prefix[:-1], strict=False))
    return sum(1 for _ in alike)
