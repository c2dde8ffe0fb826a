"""Did one run of a task lose against another? The same items answered twice, so pair by pair.

For the loss by a quantisation, mostly. McNemar's exact test asks whether there is a difference, the
interval whether it is small enough to be none. Of items that come in groups the first of each
group counts: they stand or fall together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from harness.run.records import ItemData, Sample
from harness.statistics import SAME_LEVEL, Estimate

POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """`loss`: the share that the first run has right less the second's, at SAME_LEVEL.

    `only_first` and `only_second` are the items that one of them alone has right; `p` is for both
    being as good. `needed`: the items with which two equal runs that differ on as many items would
    be shown the same within the margin, with a chance of POWER.
    """

    loss: Estimate
    first: int
    second: int
    only_first: int
    only_second: int
    p: float
    margin: float
    needed: int

    @property
    def same(self) -> bool:
        """Whether the whole interval lies inside the margin."""
        return -self.margin < self.loss.low and self.loss.high < self.margin


def paired(a: Sequence[Sample], b: Sequence[Sample], margin: float) -> Paired | None:
    """The comparison over the items that both runs answered; None where there is none."""
    left, right = _first_of_groups(a), _first_of_groups(b)
    pairs = [(left[item], right[item]) for item in left if item in right]
    if not pairs:
        return None
    n = len(pairs)
    only_first = sum(1 for one, other in pairs if one and not other)
    only_second = sum(1 for one, other in pairs if other and not one)
    return Paired(
        loss=_interval(only_first, only_second, n),
        first=sum(one for one, _ in pairs),
        second=sum(other for _, other in pairs),
        only_first=only_first,
        only_second=only_second,
        p=mcnemar(only_first, only_second),
        margin=margin,
        needed=_needed(only_first + only_second, n, margin),
    )


def mcnemar(one: int, other: int) -> float:
    """Exact two-sided p of the discordant pairs being a fair coin's."""
    n = one + other
    tail = sum(math.comb(n, at) for at in range(min(one, other) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _first_of_groups(samples: Sequence[Sample]) -> dict[str, bool]:
    """Whether each item is right, by its name. The first of a group is that of the least name."""
    items = [one.data for one in samples if isinstance(one.data, ItemData)]
    first: dict[str, ItemData] = {}
    for item in sorted(items, key=lambda item: item.item):
        first.setdefault(item.group or f"item {item.item}", item)
    return {item.item: item.correct for item in first.values()}


def _interval(one: int, other: int, n: int) -> Estimate:
    """Tango's score interval of a difference of paired shares: it holds where few pairs differ."""
    z = NormalDist().inv_cdf(0.5 + SAME_LEVEL / 2)
    value = (one - other) / n
    low = _root(lambda bound: _score(one, other, n, bound) - z, -1.0, value)
    high = _root(lambda bound: _score(one, other, n, bound) + z, value, 1.0)
    return Estimate(value, low, high, n, "Tango's score interval of paired shares", SAME_LEVEL)


def _score(one: int, other: int, n: int, bound: float) -> float:
    """The score statistic for the true difference being `bound`; falls as that grows."""
    linear = -one - other + (2 * n - one + other) * bound
    constant = -other * bound * (1 - bound)
    share = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * share + bound * (1 - bound))
    away = one - other - n * bound
    if variance <= 0:
        return math.copysign(math.inf, away) if away else 0.0
    return away / math.sqrt(variance)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is zero, by halves; the end where it has no zero between."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def _needed(discordant: int, n: int, margin: float) -> int:
    """By the normal approximation, with half a pair added: none may have differed by luck."""
    normal, share = NormalDist(), (discordant + 0.5) / (n + 1)
    reach = normal.inv_cdf(0.5 + SAME_LEVEL / 2) + normal.inv_cdf(0.5 + POWER / 2)
    return math.ceil(share * (reach / margin) ** 2)
