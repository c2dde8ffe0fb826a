"""The statistics of verdicts. The process is the replicate; logs where ratios matter.

Small n: Student's t on logs keeps its coverage where the percentile bootstrap does not. Every
function answers None where the samples can't carry the answer; none invents a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95


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
    logs = [math.log(value) for value in values]
    centre, error = fmean(logs), stdev(logs) / math.sqrt(len(logs))
    reach = error * _t_quantile(0.5 + level / 2, len(logs) - 1)
    return Estimate(
        math.exp(centre),
        math.exp(centre - reach),
        math.exp(centre + reach),
        len(values),
        "geometric mean over processes, Student's t on logs",
        level,
    )


def ratio_of_pairs(
    above: Sequence[float], below: Sequence[float], level: float = LEVEL
) -> Estimate | None:
    """Geometric mean of above/below, pair by pair in the order they took turns."""
    pairs = list(zip(above, below, strict=False))
    if any(one <= 0 or other <= 0 for one, other in pairs):
        return None
    found = mean_of_logs([one / other for one, other in pairs], level)
    if found is None:
        return None
    method = "geometric mean of paired ratios, Student's t on logs"
    return Estimate(found.value, found.low, found.high, found.n, method, level)


def p_of_logs(values: Sequence[float], threshold: float) -> float | None:
    """Two-sided p for the geometric mean being `threshold`. Consistent with `mean_of_logs`."""
    if len(values) < 2 or min(values) <= 0 or threshold <= 0:
        return None
    logs = [math.log(value / threshold) for value in values]
    error = stdev(logs) / math.sqrt(len(logs))
    if error == 0:
        return 0.0 if fmean(logs) else 1.0
    return 2 * _t_tail(abs(fmean(logs)) / error, len(logs) - 1)


def proportion(hits: int, n: int, level: float = LEVEL) -> Estimate | None:
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


def p_of_proportion(hits: int, n: int, threshold: float) -> float | None:
    """Two-sided score test against `threshold`; its acceptance region is Wilson's interval."""
    if n == 0 or not 0 < threshold < 1:
        return None
    z = abs(hits / n - threshold) / math.sqrt(threshold * (1 - threshold) / n)
    return 2 * (1 - NormalDist().cdf(z))


def p_same(values: Sequence[float], threshold: float, margin: float) -> float | None:
    """TOST on logs: p for the geometric mean lying outside threshold x (1 +- margin)."""
    if len(values) < 2 or min(values) <= 0 or threshold <= 0:
        return None
    logs = [math.log(value / threshold) for value in values]
    centre, error = fmean(logs), stdev(logs) / math.sqrt(len(logs))
    low, high = math.log(1 - margin), math.log(1 + margin)
    if error == 0:
        return 0.0 if low < centre < high else 1.0
    degrees = len(logs) - 1
    return max(_t_tail((centre - low) / error, degrees), _t_tail((high - centre) / error, degrees))


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


def _t_quantile(share: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def _t_tail(t: float, degrees: int) -> float:
    """P(T > t)."""
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))
