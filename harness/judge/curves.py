"""Accuracy along a facet of a task's items: a severity, a length. Pure functions of stored samples.

Not guaranteed: that a curve falls. Each step stands for its own items, nothing is smoothed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness import statistics
from harness.judge.estimates import groups_of
from harness.run.records import ItemData, Sample
from harness.statistics import Estimate

_WHOLE = re.compile("[0-9]{1,15}")


@dataclass(frozen=True)
class Step:
    """What the answers at one value of the facet are worth, clustered by group."""

    at: str
    share: Estimate


@dataclass(frozen=True)
class Halving:
    """Where a curve first lies at half of its first step or below. Null: at none of its steps.

    `at` goes by the shares themselves. From `earliest` on the 95% intervals allow it, from `latest`
    on they leave no doubt, so the true place is from the one to the other, and may be beyond the
    last step where `latest` is null.
    """

    at: str | None
    earliest: str | None
    latest: str | None


@dataclass(frozen=True)
class Curve:
    """Steps along the facet `axis`. `name`: the other facets of its items, "" without any."""

    axis: str
    name: str
    steps: tuple[Step, ...]

    @property
    def halving(self) -> Halving | None:
        """None for fewer than two steps, or where the first has none right to lose."""
        return halving(self.steps)


def curve(items: Sequence[ItemData], facet: str) -> tuple[Step, ...]:
    """A step for each value of the facet, numbers in their order; items that lack it are left out.

    Each step has the interval that its own items carry: of them, those of one group stand or fall
    together.
    """
    values = sorted({one.facets[facet] for one in items if facet in one.facets}, key=_place)
    steps = []
    for value in values:
        mine = [one for one in items if one.facets.get(facet) == value]
        share = statistics.share([one.value for one in mine], groups_of(mine))
        steps += [Step(value, share)] if share else []
    return tuple(steps)


def curves(samples: Sequence[Sample]) -> list[Curve]:
    """The curves of a run by name; none where its items have no facet of whole numbers.

    The axis is the facet that is a number in each item that has it, the one with the most values
    where several are. An item whose only facet it is (a clean picture) begins every curve.
    """
    items = [one.data for one in samples if isinstance(one.data, ItemData)]
    axis = _axis(items)
    if axis is None:
        return []
    items = [one for one in items if axis in one.facets]
    names = sorted({_name(one, axis) for one in items} - {""}) or [""]
    mine = {name: [one for one in items if _name(one, axis) in ("", name)] for name in names}
    return [Curve(axis, name, curve(mine[name], axis)) for name in names]


def halving_in_words(found: Curve) -> str:
    """Where a curve halves, and what its intervals leave open, as one clause."""
    where, axis = found.halving, found.axis
    if where is None:
        why = "one step alone" if found.steps[0].share.value else "nothing right at the first step"
        return f"{why}, so there is nothing to halve"
    told = f"halved at {axis} {where.at}" if where.at else "not halved at any step"
    if where.earliest is None:
        return f"{told}; the intervals rule it out"
    if where.earliest == where.latest == where.at:
        return f"{told}; the intervals leave no other step"
    until = f"and leave no doubt from {where.latest} on" if where.latest else "and never prove it"
    return f"{told}; the intervals allow it from {axis} {where.earliest} on {until}"


def halving(steps: Sequence[Step]) -> Halving | None:
    """See `Curve.halving`."""
    if len(steps) < 2 or not steps[0].share.value:
        return None
    first, later = steps[0].share, steps[1:]
    above = [(step.at, *_above_half(first, step.share)) for step in later]
    return Halving(
        at=next((at for at, value, _, _ in above if value <= 0), None),
        earliest=next((at for at, _, low, _ in above if low <= 0), None),
        latest=next((at for at, _, _, high in above if high <= 0), None),
    )


def _above_half(first: Estimate, here: Estimate) -> tuple[float, float, float]:
    """A share less half of the first one, and its interval from theirs (Zou and Donner's MOVER).

    As if the two were independent. The same pictures on both sides make it wider than it need be,
    never too narrow.
    """
    value = here.value - first.value / 2
    low = value - math.hypot(here.value - here.low, (first.high - first.value) / 2)
    high = value + math.hypot(here.high - here.value, (first.value - first.low) / 2)
    return value, low, high


def _axis(items: Sequence[ItemData]) -> str | None:
    values: dict[str, set[str]] = {}
    for one in items:
        for facet, value in one.facets.items():
            values.setdefault(facet, set()).add(value)
    numbers = [facet for facet in sorted(values) if all(map(_WHOLE.fullmatch, values[facet]))]
    return max(numbers, key=lambda facet: len(values[facet]), default=None)


def _name(item: ItemData, axis: str) -> str:
    return ", ".join(item.facets[facet] for facet in sorted(item.facets) if facet != axis)


def _place(value: str) -> tuple[float, str]:
    return (int(value) if _WHOLE.fullmatch(value) else math.inf, value)
