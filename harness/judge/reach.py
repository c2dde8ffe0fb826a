"""Up to which length does a model answer well enough? From its answers at several lengths.

Every length up to there has to be good enough, so one bad length in between ends it. The intervals
of all lengths hold together: each is Wilson's at 95% divided among them (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from harness import statistics
from harness.judge.verdicts import Interval, Point
from harness.run.records import ItemData
from harness.statistics import LEVEL, Estimate

Answers = tuple[list[bool], list[Hashable]]
"""Of one length: which answers are right, and the group of each."""


@dataclass(frozen=True)
class Reach:
    """`seen`: the longest length up to which all shares are `least` or more, `surely`: up to which
    all intervals are; 0 where not even the shortest is. `fails`: the shortest length whose whole
    interval is below; None where there is none.

    `p`: of the claim that the reach is the threshold or more, or of its contrary, whichever the
    answers speak for.
    """

    least: float
    seen: int
    surely: int
    fails: int | None
    shares: dict[int, Estimate]
    p: float

    @property
    def interval(self) -> Interval:
        return Interval(
            low=float(self.surely),
            high=None if self.fails is None else float(self.fails),
            level=LEVEL,
            method="Wilson at each length, all lengths together",
        )

    @property
    def reason(self) -> str:
        told = (
            f"at least {self.least:.0%} right up to {self.seen:,} tokens, for sure {self.surely:,}"
        )
        return f"{told}; fewer for sure at {self.fails:,}" if self.fails else told

    @property
    def series(self) -> list[Point]:
        return [
            Point(
                label=f"{length:,} tokens",
                value=share.value,
                note=f"{share.low:.1%} to {share.high:.1%}, n = {share.n}",
            )
            for length, share in self.shares.items()
        ]


def reach(
    items: Sequence[ItemData], groups: Sequence[Hashable], least: float, threshold: float
) -> Reach | None:
    """The reach of a share of `least`; None where no item has a length."""
    answers: dict[int, Answers] = {}
    for item, group in zip(items, groups, strict=True):
        if "length" in item.facets:
            right, members = answers.setdefault(int(item.facets["length"]), ([], []))
            right.append(item.correct)
            members.append(group)
    if not answers:
        return None
    lengths, level = sorted(answers), 1 - (1 - LEVEL) / len(answers)
    shares = {one: share for one in lengths if (share := statistics.share(*answers[one], level))}
    return Reach(
        least,
        seen=_before_first(lengths, [shares[one].value >= least for one in lengths]),
        surely=_before_first(lengths, [shares[one].low >= least for one in lengths]),
        fails=next((one for one in lengths if shares[one].high < least), None),
        shares=shares,
        p=_p(answers, shares, least, threshold),
    )


def _before_first(lengths: Sequence[int], good: Sequence[bool]) -> int:
    """The length before the first that is not good; the last one where all are."""
    count = good.index(False) if False in good else len(good)
    return lengths[count - 1] if count else 0


def _p(
    answers: Mapping[int, Answers], shares: Mapping[int, Estimate], least: float, threshold: float
) -> float:
    """All lengths up to the threshold must be good, so the worst p of them counts as it stands.

    One bad length refutes, and any of them may be it by luck: its p counts as often as there are.
    """
    p = {}
    for length in shares:
        tails = statistics.share_tails(*statistics.effective(*answers[length]))
        p[length] = statistics.p_different(tails, least) if tails else 1.0
    needed = [one for one in shares if one < threshold]
    needed += [one for one in shares if one >= threshold][:1]
    complete = needed[-1] >= threshold and all(shares[one].value >= least for one in needed)
    meets = max(p[one] for one in needed) if complete else 1.0
    fails = [p[one] for one in shares if one <= threshold and shares[one].value < least]
    return min([meets, *(len(shares) * one for one in fails), 1.0])
