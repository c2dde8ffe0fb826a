"""Samples to an estimate: one function per statistic of the metric table.

Each takes the claim's rule and, cell by cell in the rule's order, the samples; it answers with an
`Outcome`-to-be: whether the rule holds for the whole interval, fails for all of it, or neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from statistics import fmean

from harness import statistics
from harness.ask.claims import Claim, Rule
from harness.judge import paired, text
from harness.judge.reach import reach
from harness.judge.reading import Cells, Reading, against, nothing
from harness.judge.verdicts import Interval, Outcome, Point, Value
from harness.metrics import METRICS
from harness.run.records import FactsData, ItemData, MemoryData, PanelData, Sample
from harness.run.values import context_growth, decode_faults, value

THRASHING_FAULTS = 100


def read(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The reading of a rule from the samples of its cells, in the rule's order of cells."""
    return _STATISTICS[METRICS[rule.metric].statistic](claim, rule, cells)


def _log_t(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    samples = cells[0][1]
    values = [found for one in samples if (found := value(rule.metric, one)) is not None]
    if not values and any(sample.data for sample in samples):
        return nothing("too few tokens in a process, or this machine does not show it")
    estimate = statistics.mean_of_logs(values, _level(rule))
    series = [Point(label=f"process {at}", value=one, note="") for at, one in enumerate(values, 1)]
    return _continuous(rule, values, estimate, series)


def _paired(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    arms = [
        {one.index: found for one in samples if (found := value(rule.metric, one)) is not None}
        for _, samples in cells
    ]
    shared = sorted(arms[0].keys() & arms[1].keys())
    above, below = ([arm[at] for at in shared] for arm in arms)
    estimate = statistics.ratio_of_pairs(above, below, _level(rule))
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    series = [Point(label=f"pair {at}", value=one, note="") for at, one in enumerate(ratios, 1)]
    return _continuous(rule, ratios, estimate, series)


def _continuous(
    rule: Rule,
    values: Sequence[float],
    estimate: statistics.Estimate | None,
    series: list[Point],
) -> Reading:
    """n was fixed first: where fewer gave a value, those that did decide nothing."""
    if estimate is None:
        few = "fewer than two gave a value"
        reason = few if len(values) < 2 else "a value that is not above zero has no ratio"
        return nothing(reason, n=len(values), series=series)
    holds, reason = against(rule, estimate.low, estimate.high, float(rule.threshold))
    p = _p(rule, statistics.log_tails(values), holds)
    if estimate.n < rule.n:
        holds, reason, p = None, f"{estimate.n} of the {rule.n} planned gave a value", None
    return Reading(
        estimate.value, _interval(estimate), estimate.n, holds, reason, p_value=p, series=series
    )


def _level(rule: Rule) -> float:
    return statistics.SAME_LEVEL if rule.op == "same" else statistics.LEVEL


def _p(rule: Rule, tails: statistics.Tails | None, holds: bool | None) -> float | None:
    """The p of the test that decides: of sameness for `same`, of difference for the others."""
    if tails is None:
        return None
    threshold = float(rule.threshold)
    if rule.margin is None:
        return statistics.p_different(tails, threshold)
    test = statistics.p_not_same if holds is False else statistics.p_same
    return test(tails, threshold, rule.margin)


def _wilson(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    items = items_of(rule, cells[0][1])
    hit = _HITS.get(rule.metric)
    return of_share(rule, items, [float(hit(item)) if hit else item.value for item in items])


def items_of(rule: Rule, samples: Sequence[Sample]) -> list[ItemData]:
    """The items that count: those asked under the rule's facets."""
    wanted = rule.conditions.facets.items()
    items = (sample.data for sample in samples if isinstance(sample.data, ItemData))
    return [item for item in items if wanted <= item.facets.items()]


def planned(rule: Rule, samples: Sequence[Sample]) -> int:
    """The rule's n, or how many of it the rule's facets leave.

    An item that failed or was never asked does not say its facets: it may be one that counts.
    """
    if not rule.conditions.facets:
        return rule.n
    answered = sum(1 for sample in samples if isinstance(sample.data, ItemData))
    return rule.n - (answered - len(items_of(rule, samples)))


def of_share(rule: Rule, items: Sequence[ItemData], values: Sequence[float]) -> Reading:
    """The reading of a share, whoever says what each item is worth."""
    groups = groups_of(items)
    series = [
        Point(label=name, value=float(count), note="")
        for name, count in Counter(item.outcome for item in items).most_common()
    ]
    estimate = statistics.share(values, groups, _level(rule))
    if estimate is None:
        return nothing("no item was answered")
    tails = statistics.share_tails(*statistics.effective(values, groups))
    return _concluded(rule, estimate, tails, series)


def _token_pairs(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """n counts windows, as everywhere."""
    (_, mine), (_, other) = cells
    found = text.agreement(mine, other)
    estimate = found.estimate(_level(rule))
    if estimate is None:
        return nothing("no window was scored twice")
    by_window = replace(estimate, n=len(set(found.windows)))
    return _concluded(rule, by_window, found.tails(), [])


def _windows(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    values = text.perplexities(cells[0][1])
    series = [Point(label=f"window {at}", value=one, note="") for at, one in values.items()]
    estimate = text.perplexity(cells[0][1], _level(rule))
    return _continuous(rule, list(values.values()), estimate, series)


def _concluded(
    rule: Rule, found: statistics.Estimate, tails: statistics.Tails | None, series: list[Point]
) -> Reading:
    holds, reason = against(rule, found.low, found.high, float(rule.threshold))
    p = _p(rule, tails, holds)
    return Reading(found.value, _interval(found), found.n, holds, reason, p, series)


def _lead(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """n counts the items that both answered, though of a group but one may count."""
    mine, other = (items_of(rule, samples) for _, samples in cells)
    found = paired.lead(mine, other, _level(rule))
    if found is None:
        return nothing("no item was answered by both")
    both = {item.item for item in mine} & {item.item for item in other}
    return _concluded(rule, replace(found[0], n=len(both)), found[1], [])


def groups_of(items: Sequence[ItemData]) -> list[Hashable]:
    """The group of each item; one that has none is a group of its own."""
    return [at if item.group is None else item.group for at, item in enumerate(items)]


def _slope(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """Bytes per token of context between the shortest and the longest context, pair by pair."""
    ordered = sorted(cells, key=lambda pair: pair[0].context or 0)
    grown = [_growths(samples) for _, samples in ordered]
    series = [
        Point(label=str(cell.context), value=fmean(found.values()), note="")
        for (cell, _), found in zip(ordered, grown, strict=True)
        if found
    ]
    short, long = grown[0], grown[-1]
    span = (ordered[-1][0].context or 0) - (ordered[0][0].context or 0)
    if not (short and long and span):
        reason = "the shortest and the longest context were not both measured"
        return nothing(reason, series=series)
    slopes = [(long[at] - short[at]) / span for at in sorted(short.keys() & long.keys())]
    return _continuous(rule, slopes, statistics.mean_of_logs(slopes, _level(rule)), series)


def _growths(samples: Sequence[Sample]) -> dict[int, int]:
    """Growth by the sample's index, of those that created their context."""
    return {
        one.index: grown
        for one in samples
        if isinstance(one.data, MemoryData) and (grown := context_growth(one.data)) is not None
    }


def _bracket(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The largest context at which every process fitted, and the next one that did not.

    Where a longer context fitted and a shorter one did not, the answer lies anywhere between.
    """
    tried = sorted((pair for pair in cells if pair[1]), key=lambda pair: pair[0].context or 0)
    if not tried:
        return nothing("nothing was run")
    series = [_step(cell.context or 0, samples) for cell, samples in tried]
    contexts = [cell.context or 0 for cell, _ in tried]
    fits = [point.note == "fitted" for point in series]
    sure = fits.index(False) if False in fits else len(fits)
    best = len(fits) - fits[::-1].index(True) if True in fits else 0
    largest = contexts[sure - 1] if sure else 0
    next_up = contexts[best] if best < len(contexts) else None
    most = float("inf") if next_up is None else next_up - 1
    holds, _ = against(rule, largest, most, float(rule.threshold))
    reason = f"{largest:,} tokens fitted" if largest else "not even the shortest context fitted"
    reason += f", {next_up:,} did not" if next_up else ", the longest that was tried"
    if best > sure:
        reason = f"{contexts[sure]:,} tokens did not fit, {contexts[best - 1]:,} did"
    if holds is None:
        reason += ": the threshold lies between what was tried"
    interval = Interval(
        low=float(largest),
        high=float(next_up) if next_up else None,
        level=None,
        method="fitted, and the next length tried that did not",
    )
    n = min(len(samples) for _, samples in tried)
    return Reading(largest or None, interval, n, holds, reason, series=series)


def _step(context: int, samples: Sequence[Sample]) -> Point:
    """One context: how its worst process ended, and the highest peak where all have one."""
    notes = [_fit(sample) for sample in samples]
    peaks = [peak for one in samples if (peak := value("largest_context", one)) is not None]
    peak = max(peaks) if len(peaks) == len(samples) else None
    worst = next((note for note in notes if note != "fitted"), "fitted")
    return Point(label=str(context), value=peak, note=worst)


def _fit(sample: Sample) -> str:
    if sample.cause:
        return sample.cause
    if isinstance(sample.data, MemoryData) and decode_faults(sample.data) >= THRASHING_FAULTS:
        return f"went back to the disk {decode_faults(sample.data):,} times while decoding"
    return "fitted"


def _reach(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The longest length up to which the share of right items is what the rule asks for."""
    items = items_of(rule, cells[0][1])
    least, threshold = float(rule.conditions.least_accuracy or 0), float(rule.threshold)
    # "No more than" is the contrary of "more than".
    contested = threshold + (rule.op == "<=")
    found = reach(items, groups_of(items), least, contested)
    if found is None:
        return nothing("no item that has a length was answered")
    most = float("inf") if found.fails is None else found.fails - 1
    holds, _ = against(rule, found.surely, most, threshold)
    seen, span = found.seen or None, found.interval
    return Reading(seen, span, len(items), holds, found.reason, found.p, found.series)


def _exact(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The most trusted fact of that name; a later one that differs is told."""
    facts = [
        fact
        for sample in cells[0][1]
        if isinstance(sample.data, FactsData)
        for fact in sample.data.facts
        if fact.name == fact_name(rule)
    ]
    if not facts:
        return nothing("no source gives this")
    found, others = facts[0], {str(fact.value) for fact in facts[1:]} - {str(facts[0].value)}
    reason = f"{'' if found.origin == 'tried here' else 'read from '}{found.origin}: {found.source}"
    if others:
        reason += f"; another source says {', '.join(sorted(others))}"
    holds = _fact_holds(rule, found.value)
    if holds is None:
        reason += f"; '{found.value}' and the rule's '{rule.threshold}' can't be compared"
    return Reading(found.value, None, 1, holds, reason)


def fact_name(rule: Rule) -> str:
    """Under which name the fact of a rule is stored."""
    on = rule.conditions
    if on.services:
        return f"{on.services[0]}/{rule.metric}"
    return on.call or rule.metric


def _price_ratio(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """The ratios of input and of output: whatever the mix of the two, its ratio lies between."""
    known = {
        fact.name: fact
        for sample in cells[0][1]
        if isinstance(sample.data, FactsData)
        for fact in sample.data.facts
    }
    mine, other = rule.conditions.services
    ratios, sources = {}, []
    for name in ("input_price", "output_price"):
        pair = [known.get(f"{service}/{name}") for service in (mine, other)]
        if pair[0] is None or pair[1] is None:
            return nothing("no source gives both prices")
        ratios[name] = float(pair[0].value) / float(pair[1].value)
        sources = [pair[0].source, pair[1].source]
    low, high = min(ratios.values()), max(ratios.values())
    holds, reason = against(rule, low, high, float(rule.threshold))
    series = [
        Point(label=name.replace("_", " "), value=ratio, note="") for name, ratio in ratios.items()
    ]
    interval = Interval(low=low, high=high, level=None, method="from all input to all output")
    reason += f"; {mine} from {sources[0]}, {other} from {sources[1]}"
    return Reading(low if low == high else None, interval, 1, holds, reason, series=series)


def _fact_holds(rule: Rule, fact: Value) -> bool | None:
    """Numbers in order, names and yes-or-no by equality; None between a number and a name."""
    if _is_number(fact) and _is_number(rule.threshold):
        number = float(fact)
        return against(rule, number, number, float(rule.threshold))[0]
    if type(fact) is not type(rule.threshold) or rule.op != "==":
        return None
    return fact == rule.threshold


def _is_number(one: Value) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool)


def _bounds(claim: Claim, rule: Rule, cells: Cells) -> Reading:
    """Ship of all; a reviewer whose words say neither counts once as skip and once as ship."""
    panels = [one.data for one in cells[0][1] if isinstance(one.data, PanelData)]
    stances = panels[0].stances.get(claim.tool, []) if panels else []
    if not stances:
        return nothing("the page has no reviewer of this tool")
    n = len(stances)
    ship = sum(1 for one in stances if one.stance == "ship")
    unsaid = sum(1 for one in stances if one.stance is None)
    low, high, threshold = ship / n, (ship + unsaid) / n, float(rule.threshold)
    interval = Interval(
        low=low, high=high, level=None, method="reviewers who do not say, both ways"
    )
    reason = f"{ship} of {n} say ship, {n - ship - unsaid} skip, {unsaid} neither"
    holds, _ = against(rule, low, high, threshold)
    series = [
        Point(label=one.reviewer, value=None, note=one.words or "does not say") for one in stances
    ]
    return Reading(low if low == high else None, interval, n, holds, reason, series=series)


def _interval(estimate: statistics.Estimate) -> Interval:
    return Interval(
        low=estimate.low, high=estimate.high, level=estimate.level, method=estimate.method
    )


def outcome(holds: bool | None) -> Outcome:
    return {True: "supported", False: "refuted", None: "inconclusive"}[holds]  # type: ignore[return-value]


_HITS: dict[str, Callable[[ItemData], bool]] = {
    "invented_share": lambda item: item.outcome in ("invented_tool", "invented_argument"),
    "schema_share": lambda item: item.outcome in ("exact", "wrong_value"),
}
"""What a share counts, where it is not the mean of what the answers are worth."""


def takes_values(metric: str) -> bool:
    """Whether the metric is the mean of what a scoring rule finds the answers worth."""
    return METRICS[metric].statistic == "wilson" and metric not in _HITS


_STATISTICS: dict[str, Callable[[Claim, Rule, Cells], Reading]] = {
    "log_t": _log_t,
    "paired": _paired,
    "lead": _lead,
    "wilson": _wilson,
    "windows": _windows,
    "token_pairs": _token_pairs,
    "slope": _slope,
    "bracket": _bracket,
    "reach": _reach,
    "exact": _exact,
    "bounds": _bounds,
    "price_ratio": _price_ratio,
}
