"""What runs over the windows of a text say: perplexity, and how far two artifacts agree on it.

Windows are the replicates: the tokens of one stand in each other's context.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from harness import statistics
from harness.run.records import ItemData, Sample
from harness.statistics import LEVEL, Estimate


@dataclass(frozen=True)
class Agreement:
    """`same`: by scored token whether both hold one token for the likeliest; `windows` beside."""

    same: list[bool]
    windows: list[str]

    def estimate(self, level: float = LEVEL) -> Estimate | None:
        return statistics.share(self.same, self.windows, level)

    def tails(self) -> statistics.Tails | None:
        return statistics.share_tails(*statistics.effective(self.same, self.windows))


def perplexities(samples: Sequence[Sample]) -> dict[str, float]:
    """Of each window, by its name. A run of another task has none."""
    return {
        name: math.exp(-fmean(one for option in window.logprobs for one in option))
        for name, window in _windows(samples).items()
    }


def perplexity(samples: Sequence[Sample], level: float = LEVEL) -> Estimate | None:
    """Over all tokens, with an interval by window; None for fewer than two windows.

    All windows score as many tokens, so the geometric mean over windows is that over tokens.
    """
    found = statistics.mean_of_logs(list(perplexities(samples).values()), level)
    return found and replace(found, method="over windows, Student's t on logs")


def ratio(a: Sequence[Sample], b: Sequence[Sample], level: float = LEVEL) -> Estimate | None:
    """The first run's perplexity over the second's, window by window."""
    above, below = perplexities(a), perplexities(b)
    shared = sorted(above.keys() & below.keys())
    pairs = [above[name] for name in shared], [below[name] for name in shared]
    found = statistics.ratio_of_pairs(*pairs, level)
    return found and replace(found, method="window by window, Student's t on logs")


def shared(a: Sequence[Sample], b: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The samples of either run whose windows the other scored, too."""
    both = _windows(a).keys() & _windows(b).keys()

    def of(samples: Sequence[Sample]) -> list[Sample]:
        return [s for s in samples if isinstance(s.data, ItemData) and s.data.item in both]

    return of(a), of(b)


def agreement(a: Sequence[Sample], b: Sequence[Sample]) -> Agreement:
    """Token by token over the windows that both runs scored; prompts must be known to be alike."""
    left, right = _windows(a), _windows(b)
    marks = [
        (one == other, name)
        for name in sorted(left.keys() & right.keys())
        for mine, theirs in zip(left[name].likeliest, right[name].likeliest, strict=True)
        for one, other in zip(mine, theirs, strict=True)
    ]
    return Agreement([same for same, _ in marks], [name for _, name in marks])


def _windows(samples: Sequence[Sample]) -> dict[str, ItemData]:
    data = (one.data for one in samples)
    return {one.item: one for one in data if isinstance(one, ItemData) and one.likeliest}
