"""What samples say of a rule, and whether that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness import statistics
from harness.ask.claims import Rule
from harness.judge.verdicts import Interval, Point, Value
from harness.plan.cells import Cell
from harness.run.records import Sample


@dataclass(frozen=True)
class Reading:
    """What samples say of a rule. `holds` None: the interval leaves it open; `reason` says why."""

    estimate: Value | None
    interval: Interval | None
    n: int
    holds: bool | None
    reason: str
    p_value: float | None = None
    series: list[Point] = field(default_factory=list)


Cells = Sequence[tuple[Cell, Sequence[Sample]]]


def against(rule: Rule, low: float, high: float, threshold: float) -> tuple[bool | None, str]:
    """Whether the whole interval clears the rule (True), fails it (False), or straddles (None)."""
    if rule.op == "same" and rule.margin is not None:
        least, most = statistics.around(threshold, rule.margin)
        inside, outside = least <= low and high <= most, high < least or low > most
    elif rule.op == ">=":
        inside, outside = low >= threshold, high < threshold
    elif rule.op == "<=":
        inside, outside = high <= threshold, low > threshold
    else:
        inside, outside = low == high == threshold, not low <= threshold <= high
    if inside:
        return True, "the whole interval meets the rule"
    return (
        (False, "the whole interval fails the rule")
        if outside
        else (None, "the interval holds values that meet the rule and values that fail it")
    )


def nothing(reason: str, n: int = 0, series: list[Point] | None = None) -> Reading:
    """The reading of samples that say nothing of the rule, with the reason."""
    return Reading(None, None, n, None, reason, series=series or [])
