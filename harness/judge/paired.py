"""Did one run of a task lose against another? The same items answered twice, so pair by pair.

For the loss by a quantisation, mostly. A test asks whether there is a difference, the interval
whether it is small enough to be none. Items of one group (of one picture) stand or fall together.

Where answers are right or wrong: McNemar's exact test and Tango's interval, of each group the first
item. Where some are worth a part: all items, by resampling whole groups. The same runs give the
same figures on every machine: the seed is fixed, Python's own generator never changes, and what is
added up are whole numbers, which no processor rounds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from harness.run.records import ItemData, Sample
from harness.statistics import LEVEL, SAME_LEVEL, Estimate, Tails

POWER = 0.8
_RESAMPLES = 10_000
_SEED = 1
_ENOUGH_GROUPS = 20
"""With fewer that differ the bootstrap promises too much."""
_GRAIN = 10**9
"""Values are resampled in billionths."""


@dataclass(frozen=True)
class Pair:
    """What one item's answer is worth in either run."""

    group: str
    first: float
    second: float


@dataclass(frozen=True)
class Paired:
    """`loss`: the mean value of the first run's answers less the second's, at SAME_LEVEL.

    `first` and `second` are the sums of the values, `only_first` and `only_second` the items whose
    answer is worth more in the one or the other; `p` is for both runs being as good, by `test`.
    `power`: the chance that two equal runs that differ as much would be shown the same within the
    margin; `needed`: the items with which it is POWER.
    """

    loss: Estimate
    first: float
    second: float
    only_first: int
    only_second: int
    p: float
    test: str
    margin: float
    power: float
    needed: int

    @property
    def same(self) -> bool:
        """Whether the whole interval lies inside the margin."""
        return -self.margin < self.loss.low and self.loss.high < self.margin


def paired(a: Sequence[Sample], b: Sequence[Sample], margin: float) -> Paired | None:
    """The comparison over the items that both runs answered; None where there is none."""
    pairs, in_parts = _counted(_pairs(_items(a), _items(b)))
    if not pairs:
        return None
    n, lost = len(pairs), _by_group(pairs)
    only_first, only_second = _discordant(pairs)
    spread = math.fsum(math.fsum(group) ** 2 for group in lost)
    return Paired(
        loss=_bootstrap(lost) if in_parts else _interval(only_first, only_second, n),
        first=math.fsum(pair.first for pair in pairs),
        second=math.fsum(pair.second for pair in pairs),
        only_first=only_first,
        only_second=only_second,
        p=_flipped(lost) if in_parts else mcnemar(only_first, only_second),
        test="sign flips of groups" if in_parts else "McNemar's exact",
        margin=margin,
        power=_power(spread, n, margin),
        needed=_needed(spread, n, margin),
    )


def lead(
    a: Sequence[ItemData], b: Sequence[ItemData], level: float = LEVEL
) -> tuple[Estimate, Tails] | None:
    """By how much the mean value of the first run's answers is above the second's.

    Over the items that both answered, with the tails that agree with the interval; None where
    there is none.
    """
    pairs, in_parts = _counted(_pairs(a, b))
    if not pairs:
        return None
    if in_parts:
        lost = _by_group(pairs)
        return _bootstrap(lost, level), _bootstrap_tails(lost)
    first, second = _discordant(pairs)
    return _interval(first, second, len(pairs), level), _score_tails(first, second, len(pairs))


def _counted(pairs: list[Pair]) -> tuple[list[Pair], bool]:
    """The pairs that count, and whether any answer is worth a part; if not, one of each group."""
    in_parts = any(0 < value < 1 for pair in pairs for value in (pair.first, pair.second))
    firsts = list({pair.group: pair for pair in reversed(pairs)}.values())
    return pairs if in_parts else firsts, in_parts


def _discordant(pairs: Sequence[Pair]) -> tuple[int, int]:
    """How many pairs are worth more in the first run, and how many in the second."""
    first = sum(pair.first > pair.second for pair in pairs)
    return first, sum(pair.first < pair.second for pair in pairs)


def mcnemar(one: int, other: int) -> float:
    """Exact two-sided p of the discordant pairs being a fair coin's."""
    n = one + other
    tail = sum(math.comb(n, at) for at in range(min(one, other) + 1))
    return min(1.0, 2 * tail / (1 << n))


def _items(samples: Sequence[Sample]) -> list[ItemData]:
    return [one.data for one in samples if isinstance(one.data, ItemData)]


def _pairs(a: Sequence[ItemData], b: Sequence[ItemData]) -> list[Pair]:
    """The items that both runs answered, by name. One without a group is a group of its own."""
    left, right = ({one.item: one for one in items} for items in (a, b))
    return [
        Pair(left[name].group or f"item {name}", left[name].value, right[name].value)
        for name in sorted(left.keys() & right.keys())
    ]


def _by_group(pairs: Sequence[Pair]) -> list[list[float]]:
    """What the second run lost, item by item."""
    found: dict[str, list[float]] = {}
    for pair in pairs:
        found.setdefault(pair.group, []).append(pair.first - pair.second)
    return list(found.values())


def _bootstrap(lost: Sequence[Sequence[float]], level: float = SAME_LEVEL) -> Estimate:
    """Percentiles over resampled groups; Tango's interval where too few groups differ.

    That one takes each difference for one of the most that it can be a part of, and each group for
    one item: of all differences with these sums, those vary most.
    """
    import numpy as np

    items = [one for group in lost for one in group]
    n = len(items)
    if sum(any(group) for group in lost) < _ENOUGH_GROUPS:
        gained, missed, groups = _as_all_or_nothing(lost)
        found = _interval(missed, gained, groups, level)
        method = f"{found.method}, as wide as for all or nothing"
        return Estimate(found.value, found.low, found.high, n, method, level)
    shares = (0.5 - level / 2, 0.5 + level / 2)
    low, high = np.quantile(_means(lost), shares, method="inverted_cdf")
    method = f"bootstrap of groups, {_RESAMPLES:,} resamples"
    return Estimate(math.fsum(items) / n, float(low), float(high), n, method, level)


def _as_all_or_nothing(lost: Sequence[Sequence[float]]) -> tuple[float, float, int]:
    """What was gained and what was missed, as so many of that many groups."""
    items = [one for group in lost for one in group]
    gained = math.fsum(max(0.0, -one) for one in items) * len(lost) / len(items)
    missed = math.fsum(max(0.0, one) for one in items) * len(lost) / len(items)
    return gained, missed, len(lost)


def _means(lost: Sequence[Sequence[float]]) -> Any:
    """The mean of each resample of whole groups, as an array."""
    import numpy as np

    sums, sizes = _sums(lost), np.array([len(one) for one in lost])
    dice, means = random.Random(_SEED), np.empty(_RESAMPLES)
    for at in range(_RESAMPLES):
        drawn = _draw(dice, len(lost), len(lost))
        means[at] = int(sums[drawn].sum()) / (int(sizes[drawn].sum()) * _GRAIN)
    return means


def _sums(lost: Sequence[Sequence[float]]) -> Any:
    """What each group lost in all, in grains, as an array."""
    import numpy as np

    return np.array([round(math.fsum(one) * _GRAIN) for one in lost])


def _draw(dice: random.Random, count: int, below: int) -> Any:
    """So many whole numbers below a bound, as an array."""
    import numpy as np

    fractions = np.frombuffer(dice.randbytes(4 * count), "<u4").astype(np.uint64)
    return fractions * np.uint64(below) >> np.uint64(32)


def _bootstrap_tails(lost: Sequence[Sequence[float]]) -> Tails:
    """Agrees with `_bootstrap`: where too few groups differ, with the interval that it takes."""
    if sum(any(group) for group in lost) < _ENOUGH_GROUPS:
        gained, missed, groups = _as_all_or_nothing(lost)
        return _score_tails(missed, gained, groups)
    means = _means(lost)

    def tails(bound: float) -> tuple[float, float]:
        below, above = (int((means <= bound).sum()), int((means >= bound).sum()))
        return (below + 1) / (_RESAMPLES + 1), (above + 1) / (_RESAMPLES + 1)

    return tails


def _flipped(lost: Sequence[Sequence[float]]) -> float:
    """How often a loss as large comes of chance alone: each group might as well be the other way.

    Never 0: the order that was seen is one of those that chance may bring.
    """
    sums, dice, as_large = _sums(lost), random.Random(_SEED), 1
    for _ in range(_RESAMPLES):
        flipped = sums[_draw(dice, len(sums), 2) == 1].sum()
        as_large += bool(abs(sums.sum() - 2 * flipped) >= abs(sums.sum()))
    return as_large / (_RESAMPLES + 1)


def _interval(one: float, other: float, n: int, level: float = SAME_LEVEL) -> Estimate:
    """Tango's score interval of a difference of paired shares: it holds where few pairs differ."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    value = (one - other) / n
    low = _root(lambda bound: _score(one, other, n, bound) - z, -1.0, value)
    high = _root(lambda bound: _score(one, other, n, bound) + z, value, 1.0)
    return Estimate(value, low, high, n, "Tango's score interval of paired shares", level)


def _score_tails(one: float, other: float, n: int) -> Tails:
    """Agrees with `_interval`."""

    def tails(bound: float) -> tuple[float, float]:
        z = _score(one, other, n, bound)
        return NormalDist().cdf(-z), NormalDist().cdf(z)

    return tails


def _score(one: float, other: float, n: int, bound: float) -> float:
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


def _variance(spread: float, n: int) -> float:
    """Of one item's difference, with half a pair added: none may have differed by luck."""
    return (spread + 0.5) / (n + 1)


def _power(spread: float, n: int, margin: float) -> float:
    """By the normal approximation, as `_needed`."""
    normal, error = NormalDist(), math.sqrt(_variance(spread, n) / n)
    reach = margin / error - normal.inv_cdf(0.5 + SAME_LEVEL / 2)
    return max(0.0, 2 * normal.cdf(reach) - 1)


def _needed(spread: float, n: int, margin: float) -> int:
    normal = NormalDist()
    reach = normal.inv_cdf(0.5 + SAME_LEVEL / 2) + normal.inv_cdf(0.5 + POWER / 2)
    return math.ceil(_variance(spread, n) * (reach / margin) ** 2)
