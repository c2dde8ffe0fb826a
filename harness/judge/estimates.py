"""Samples to an estimate: one function per statistic of the metric table.

Each takes the claim's rule and, cell by cell in the rule's order, the samples; it answers with an
`Outcome`-to-be: whether the rule holds for the whole interval, fails for all of it, or neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness import statistics
from harness.ask.claims import Claim, Rule
from harness.judge.verdicts import Interval, Outcome, Point, Value
from harness.metrics import METRICS
from harness.plan.cells import Cell
from harness.run.records import FactsData, ItemData, MemoryData, PanelData, Sample
from harness.run.values import context_growth, decode_faults, value

THRASHING_FAULTS = 100


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


def read(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The reading of a rule from the samples of its cells, in the rule's order of cells."""
    return _STATISTICS[METRICS[rule.metric].statistic](claim, rule, cells)


def _log_t(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    samples = cells[0][1]
    values = [found for one in samples if (found := value(rule.metric, one)) is not None]
    if not values and any(sample.data for sample in samples):
        return _nothing("too few tokens in a process for this percentile")
    estimate = statistics.mean_of_logs(values)
    series = [Point(label=f"process {at}", value=one, note="") for at, one in enumerate(values, 1)]
    return _continuous(rule, values, estimate, series)


def _paired(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    arms = [
        {one.index: found for one in samples if (found := value(rule.metric, one)) is not None}
        for _, samples in cells
    ]
    shared = sorted(arms[0].keys() & arms[1].keys())
    above, below = ([arm[at] for at in shared] for arm in arms)
    estimate = statistics.ratio_of_pairs(above, below)
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    series = [Point(label=f"pair {at}", value=one, note="") for at, one in enumerate(ratios, 1)]
    return _continuous(rule, ratios, estimate, series)


def _continuous(
    rule: Rule,
    values: Sequence[float],
    estimate: statistics.Estimate | None,
    series: list[Point],
) -> Reading:
    if estimate is None:
        return _nothing("fewer than two processes gave a value", n=len(values), series=series)
    threshold = float(rule.threshold)
    holds, reason = _against(rule, estimate.low, estimate.high, threshold)
    if rule.op == "same" and rule.margin:
        p = statistics.p_same(values, threshold, rule.margin)
        # An interval that lies outside is judged by the test of difference.
        p = statistics.p_of_logs(values, threshold) if holds is False else p
    else:
        p = statistics.p_of_logs(values, threshold)
    return Reading(
        estimate.value, _interval(estimate), estimate.n, holds, reason, p_value=p, series=series
    )


def _wilson(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    items = [sample.data for sample in cells[0][1] if isinstance(sample.data, ItemData)]
    counts = Counter(item.outcome for item in items)
    if rule.metric == "invented_share":
        hits = counts["invented_tool"] + counts["invented_argument"]
    else:
        hits = sum(1 for item in items if item.correct)
    series = [
        Point(label=name, value=float(count), note="") for name, count in counts.most_common()
    ]
    estimate = statistics.proportion(hits, len(items))
    if estimate is None:
        return _nothing("no item was answered")
    holds, reason = _against(rule, estimate.low, estimate.high, float(rule.threshold))
    p = statistics.p_of_proportion(hits, len(items), float(rule.threshold))
    return Reading(
        estimate.value, _interval(estimate), len(items), holds, reason, p_value=p, series=series
    )


def _slope(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """Bytes per token of context between the shortest and the longest context, pair by pair."""
    grown: dict[int, list[int]] = {}
    for _, samples in cells:
        for sample in samples:
            if isinstance(sample.data, MemoryData):
                growth = context_growth(sample.data)
                context = sample.data.applied.settings.context
                grown.setdefault(context, []).extend([] if growth is None else [growth])
    contexts = sorted(context for context, found in grown.items() if found)
    if len(contexts) < 2:
        return _nothing("fewer than two context lengths were measured")
    short, long = contexts[0], contexts[-1]
    slopes = [
        (above - below) / (long - short)
        for below, above in zip(grown[short], grown[long], strict=False)
    ]
    series = [
        Point(label=str(context), value=float(sum(grown[context]) / len(grown[context])), note="")
        for context in contexts
    ]
    return _continuous(rule, slopes, statistics.mean_of_logs(slopes), series)


def _bracket(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The largest context at which every process fitted, and the next one that did not."""
    series, largest, next_up, n = [], 0, None, 0
    for cell, samples in sorted(cells, key=lambda pair: pair[0].context or 0):
        context, notes = cell.context or 0, [_fit(sample) for sample in samples]
        peaks = [peak for one in samples if (peak := value(rule.metric, one)) is not None]
        worst = next((note for note in notes if note != "fitted"), "fitted")
        peak = max(peaks) if len(peaks) == len(samples) else None
        series.append(Point(label=str(context), value=peak, note=worst))
        n = max(n, len(samples))
        if worst == "fitted" and next_up is None:
            largest = context
        elif next_up is None:
            next_up = context
    if not largest and next_up is None:
        return _nothing("nothing was run")
    threshold = float(rule.threshold)
    holds: bool | None = largest >= threshold
    reason = f"{largest:,} tokens fitted" if largest else "not even the shortest context fitted"
    reason += f", {next_up:,} did not" if next_up else ", the longest that was tried"
    if not holds and (next_up is None or next_up > threshold):
        holds, reason = None, f"{reason}: the threshold lies between what was tried"
    interval = Interval(
        low=float(largest),
        high=float(next_up) if next_up else None,
        level=None,
        method="fitted, and the next length tried that did not",
    )
    return Reading(largest, interval, n, holds, reason, series=series)


def _fit(sample: Sample) -> str:
    if sample.cause:
        return sample.cause
    if isinstance(sample.data, MemoryData) and decode_faults(sample.data) >= THRASHING_FAULTS:
        return f"went back to the disk {decode_faults(sample.data):,} times while decoding"
    return "fitted"


def _exact(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The most trusted fact of that name; a later one that differs is told."""
    facts = [
        fact
        for sample in cells[0][1]
        if isinstance(sample.data, FactsData)
        for fact in sample.data.facts
        if fact.name == rule.metric
    ]
    if not facts:
        return _nothing("no source gives this")
    found, others = facts[0], {str(fact.value) for fact in facts[1:]} - {str(facts[0].value)}
    reason = f"read from {found.origin}: {found.source}"
    if others:
        reason += f"; another source says {', '.join(sorted(others))}"
    if isinstance(found.value, str | bool) or rule.op == "==":
        holds: bool | None = found.value == rule.threshold
    else:
        holds, _ = _against(rule, float(found.value), float(found.value), float(rule.threshold))
    return Reading(found.value, None, 1, holds, reason)


def _bounds(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """Ship of all; a reviewer whose words say neither counts once as skip and once as ship."""
    panels = [one.data for one in cells[0][1] if isinstance(one.data, PanelData)]
    stances = panels[0].stances.get(claim.tool, []) if panels else []
    if not stances:
        return _nothing("the page has no reviewer of this tool")
    n = len(stances)
    ship = sum(1 for one in stances if one.stance == "ship")
    unsaid = sum(1 for one in stances if one.stance is None)
    low, high, threshold = ship / n, (ship + unsaid) / n, float(rule.threshold)
    interval = Interval(
        low=low, high=high, level=None, method="reviewers who do not say, both ways"
    )
    reason = f"{ship} of {n} say ship, {n - ship - unsaid} skip, {unsaid} neither"
    holds = None if low <= threshold <= high else False
    if low == high == threshold:
        holds = True
    series = [
        Point(label=one.reviewer, value=None, note=one.words or "does not say") for one in stances
    ]
    return Reading(low if low == high else None, interval, n, holds, reason, series=series)


def _against(rule: Rule, low: float, high: float, threshold: float) -> tuple[bool | None, str]:
    """Whether the whole interval clears the rule (True), fails it (False), or straddles (None)."""
    if rule.op == "same" and rule.margin is not None:
        least, most = threshold * (1 - rule.margin), threshold * (1 + rule.margin)
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


def _interval(estimate: statistics.Estimate) -> Interval:
    return Interval(
        low=estimate.low, high=estimate.high, level=estimate.level, method=estimate.method
    )


def _nothing(reason: str, n: int = 0, series: list[Point] | None = None) -> Reading:
    return Reading(None, None, n, None, reason, series=series or [])


def outcome(holds: bool | None) -> Outcome:
    return {True: "supported", False: "refuted", None: "inconclusive"}[holds]  # type: ignore[return-value]


_STATISTICS: dict[str, Callable[[Claim, Rule, Cells], Reading]] = {
    "log_t": _log_t,
    "paired": _paired,
    "wilson": _wilson,
    "slope": _slope,
    "bracket": _bracket,
    "exact": _exact,
    "bounds": _bounds,
}
