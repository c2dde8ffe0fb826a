"""The statistics of verdicts. The process is the replicate; logs where ratios matter.

Small n: Student's t on logs keeps its coverage where the percentile bootstrap does not. Every
function answers None where the samples can't carry the answer; none invents a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95
SAME_LEVEL = 0.90
"""An interval at this level lies inside a margin exactly where TOST at 1 - LEVEL says so."""

Tails = Callable[[float], tuple[float, float]]
"""Of a bound: p for the true value being no more than it, and p for being no less."""


@dataclass(frozen=True)
class Estimate:
    """A value, its interval at `level`, and what made it."""

    value: float
    low: float
    high: float
    n: int
    method: str
    level: float = LEVEL


def mean_of_logs(values: Sequence[float], level: float = LEVEL) -> Estimate | None:
    """Geometric mean with a t interval on logs. `values` > 0, one per process; needs two."""
    if len(values) < 2 or min(values) <= 0:
        return None
    method = "geometric mean over processes, Student's t on logs"
    if min(values) == max(values):  # exp(log(x)) may miss x, and a threshold, by one bit
        return Estimate(values[0], values[0], values[0], len(values), method, level)
    logs = [math.log(value) for value in values]
    centre, error = fmean(logs), stdev(logs) / math.sqrt(len(logs))
    reach = error * _t_quantile(0.5 + level / 2, len(logs) - 1)
    low, high = math.exp(centre - reach), math.exp(centre + reach)
    return Estimate(math.exp(centre), low, high, len(values), method, level)


def ratio_of_pairs(
    above: Sequence[float], below: Sequence[float], level: float = LEVEL
) -> Estimate | None:
    """Geometric mean of above/below, pair by pair; the arms must be of one length."""
    pairs = list(zip(above, below, strict=True))
    if any(one <= 0 or other <= 0 for one, other in pairs):
        return None
    found = mean_of_logs([one / other for one, other in pairs], level)
    if found is None:
        return None
    method = "geometric mean of paired ratios, Student's t on logs"
    return Estimate(found.value, found.low, found.high, found.n, method, level)


def ratio_of_means(
    above: Sequence[float], below: Sequence[float], level: float = LEVEL
) -> Estimate | None:
    """Geometric mean of `above` over that of `below`, of two runs that took no turns: Welch's t.

    What differs between sessions and not within one is outside its interval.
    """
    if min(len(above), len(below)) < 2 or min(*above, *below) <= 0:
        return None
    arms = [[math.log(value) for value in arm] for arm in (above, below)]
    centre = fmean(arms[0]) - fmean(arms[1])
    parts = [stdev(arm) ** 2 / len(arm) for arm in arms]
    method = "ratio of geometric means over processes, Welch's t on logs"
    n, value = min(len(above), len(below)), math.exp(centre)
    if sum(parts) == 0:
        return Estimate(value, value, value, n, method, level)
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(arm) - 1) for part, arm in zip(parts, arms, strict=True)
    )
    reach = math.sqrt(sum(parts)) * _t_quantile(0.5 + level / 2, degrees)
    return Estimate(value, math.exp(centre - reach), math.exp(centre + reach), n, method, level)


def log_tails(values: Sequence[float]) -> Tails | None:
    """Tails of the geometric mean, by Student's t. Agrees with `mean_of_logs`.

    None where all values are the same: nothing varied, so there is nothing to test.
    """
    if len(values) < 2 or min(values) <= 0:
        return None
    logs = [math.log(value) for value in values]
    centre, error = fmean(logs), stdev(logs) / math.sqrt(len(logs))
    if error == 0:
        return None

    def tails(bound: float) -> tuple[float, float]:
        t = (centre - math.log(bound)) / error if bound > 0 else math.inf
        return _t_tail(t, len(logs) - 1), _t_tail(-t, len(logs) - 1)

    return tails


def proportion(hits: float, n: int, level: float = LEVEL) -> Estimate | None:
    """Wilson's interval. At 20 of 20 it is (.839, 1) where the bootstrap says (1, 1)."""
    if n == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, z2 = hits / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == n else min(1.0, centre + reach)
    return Estimate(share, low, high, n, "Wilson", level)


def share(
    values: Sequence[float], groups: Sequence[Hashable], level: float = LEVEL
) -> Estimate | None:
    """The mean of values from 0 to 1, with Wilson's interval for items that come in groups.

    Right and wrong are 1 and 0. Of all values with one mean these two vary most, so for answers
    that are worth a part the interval is wider than it need be.
    """
    hits, n = effective(values, groups)
    found = proportion(hits, n, level)
    if found is None:
        return None
    method = "Wilson" if n == len(values) else "Wilson, by group of items"
    if any(0 < one < 1 for one in values):
        method += ", as wide as for all or nothing"
    value = math.fsum(values) / len(values)
    return Estimate(value, found.low, found.high, len(values), method, level)


def effective(values: Sequence[float], groups: Sequence[Hashable]) -> tuple[float, int]:
    """Hits and n of as many independent items, right or wrong, as tell what these tell.

    Items of one group stand or fall together. How much they do is measured (design effect: the
    variance between groups over that of independent items), and never counted as a gain. Groups
    of items that are all worth the same count once each: of their likeness nothing can be seen.
    """
    hits, n = math.fsum(values), len(values)
    count = len(set(groups))
    if count == n:
        return hits, n
    members: dict[Hashable, list[float]] = {}
    for one, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(one)
    value = hits / n
    doubt = value * (1 - value)
    if count == 1 or min(values) == max(values):
        return value * count, count
    missed = (math.fsum(group) - value * len(group) for group in members.values())
    spread = math.fsum(one * one for one in missed) * count / (count - 1)
    independent = round(n / max(1.0, spread / (n * doubt)))
    return value * independent, independent


def difference_of_shares(
    hits: int, n: int, other_hits: int, other_n: int, level: float = LEVEL
) -> Estimate | None:
    """The first share less the second, of two independent runs; Newcombe's interval from Wilson's.

    The same items on both sides make it wider than it need be, never too narrow.
    """
    one, other = proportion(hits, n, level), proportion(other_hits, other_n, level)
    if one is None or other is None:
        return None
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, low, high, min(n, other_n), "Newcombe, from Wilson", level)


def share_tails(hits: float, n: int) -> Tails | None:
    """Tails of a share, by the score test. Agrees with `proportion`."""
    if n == 0:
        return None
    share = hits / n

    def tails(bound: float) -> tuple[float, float]:
        if not 0 < bound < 1:  # one counter-example settles "all" and "none"
            return float(share <= bound), float(share >= bound)
        z = (share - bound) / math.sqrt(bound * (1 - bound) / n)
        return NormalDist().cdf(-z), NormalDist().cdf(z)

    return tails


def at_any_time(total: float, n: int, level: float = LEVEL) -> Estimate | None:
    """The mean of `n` values from 0 to 1 that add up to `total`: an interval for every n at once.

    Looking after each item and stopping when one likes costs it nothing, where an interval for one
    fixed n would miss the truth ever more often. Robbins (1970): the true mean is in as long as the
    likelihood under it, against that under means mixed uniformly, is not below 1 - level. Of values
    between 0 and 1 it covers no less, as their likelihood lies below that of right and wrong.
    """
    if n == 0:
        return None
    bound = -math.log(1 - level) - (
        math.lgamma(1 + total) + math.lgamma(1 + n - total) - math.lgamma(2 + n)
    )
    mean = total / n

    def outside(share: float) -> bool:
        missed = total * math.log(share) if total else 0.0
        missed += (n - total) * math.log1p(-share) if n > total else 0.0
        return -missed >= bound

    low = 0.0 if total == 0 else _edge(outside, 0.0, mean)
    high = 1.0 if total == n else _edge(outside, 1.0, mean)
    return Estimate(mean, low, high, n, "beta-binomial mixture, for every n at once", level)


def _edge(outside: Callable[[float], bool], far: float, near: float) -> float:
    """Between a place that is outside and one that is not, where that changes; by halves."""
    for _ in range(50):
        middle = (far + near) / 2
        far, near = (middle, near) if outside(middle) else (far, middle)
    return far


def p_different(tails: Tails, threshold: float) -> float:
    """Two-sided p for the true value being `threshold`."""
    return min(1.0, 2 * min(tails(threshold)))


def p_same(tails: Tails, threshold: float, margin: float) -> float:
    """TOST: p for the true value lying outside what `around` gives."""
    least, most = around(threshold, margin)
    return max(tails(least)[0], tails(most)[1])


def p_not_same(tails: Tails, threshold: float, margin: float) -> float:
    """p for the true value lying inside what `around` gives."""
    least, most = around(threshold, margin)
    return min(tails(least)[1], tails(most)[0])


def around(threshold: float, margin: float) -> tuple[float, float]:
    """The values that are the same: a share of the threshold either way; about 0 just so much."""
    reach = threshold * margin if threshold else margin
    return threshold - reach, threshold + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def percentile(values: Sequence[float], share: float) -> float | None:
    """The order statistic at `share`; None below `TAIL_MINIMUM`."""
    if len(values) < TAIL_MINIMUM.get(share, 2):
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


TAIL_MINIMUM = {0.9: 64, 0.99: 662}
"""The fewest values of which, with 99% confidence, two or more lie beyond the quantile."""


def slope_p(values: Sequence[float]) -> float | None:
    """Two-sided p for a trend of the logs over run order: warming up, throttling, filling."""
    n = len(values)
    if n < 4 or min(values) <= 0:
        return None
    logs, middle = [math.log(value) for value in values], (n - 1) / 2
    mean = fmean(logs)
    spread = sum((at - middle) ** 2 for at in range(n))
    slope = sum((at - middle) * (log - mean) for at, log in enumerate(logs)) / spread
    rest = sum((log - mean - slope * (at - middle)) ** 2 for at, log in enumerate(logs))
    if rest == 0:
        return 0.0 if slope else 1.0
    return 2 * _t_tail(abs(slope) / math.sqrt(rest / (n - 2) / spread), n - 2)


def _t_quantile(share: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def _t_tail(t: float, degrees: int) -> float:
    """P(T > t)."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))
