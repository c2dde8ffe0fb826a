"""A run's metrics at a glance, for people at a terminal. Verdicts don't use it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from harness import statistics
from harness.judge import text
from harness.judge.estimates import groups_of
from harness.metrics import METRICS
from harness.run.records import ItemData, Run, Sample
from harness.run.values import value

_MADE_ID = re.compile(r"([a-z]+|\d+)-\d{3}")


def summary(run: Run, samples: Sequence[Sample]) -> list[tuple[str, str, str]]:
    """Rows of metric, value, interval. A metric that no sample carries is left out."""
    rows = []
    for metric in METRICS.values():
        if metric.statistic != "log_t" or metric.comes_from != run.cell.workload:
            continue
        values = [found for one in samples if (found := value(metric.name, one)) is not None]
        estimate = statistics.mean_of_logs(values)
        if estimate:
            interval = f"{metric.show(estimate.low)} to {metric.show(estimate.high)}"
            note = f"{interval} (95%, n = {estimate.n})"
            rows.append((metric.name, metric.show(estimate.value), note))
        elif values:
            rows.append((metric.name, metric.show(values[0]), "one process: no interval"))
    items = [sample.data for sample in samples if isinstance(sample.data, ItemData)]
    rows += _shares(items)
    if scored := text.perplexity(samples):
        show = METRICS["perplexity"].show
        note = f"{show(scored.low)} to {show(scored.high)} (95%, n = {scored.n} windows)"
        rows.append(("perplexity", show(scored.value), note))
    for outcome, count in Counter(item.outcome for item in items).most_common():
        rows.append((outcome, str(count), f"of {len(items)} items"))
    causes = Counter(sample.cause for sample in samples if sample.cause)
    rows += [(str(cause), str(count), "samples without data") for cause, count in causes.items()]
    return rows


def _shares(items: Sequence[ItemData]) -> list[tuple[str, str, str]]:
    """What answers are worth: by the canonical rule, by those of others, and part by part."""
    rules = sorted({name for item in items for name in item.by_other_rules})
    parts = sorted({_part(item) for item in items}, key=lambda part: (len(part), part))
    rows = _share("correct", items, [item.value for item in items])
    for rule in rules:
        told = [item for item in items if rule in item.by_other_rules]
        rows += _share(f"correct by {rule}", told, [one.by_other_rules[rule] for one in told])
    for part in parts if "" not in parts else ():
        mine = [item for item in items if _part(item) == part]
        rows += _share(f"correct of {part}", mine, [item.value for item in mine])
    return rows + _of_parts(items)


def _of_parts(items: Sequence[ItemData]) -> list[tuple[str, str, str]]:
    """By rule: of what was asked in several parts, the share of parts that are right."""
    rows = []
    for rule in sorted({rule for item in items for rule in item.parts}):
        told = [(item, right) for item in items for right in item.parts.get(rule, {}).values()]
        share = statistics.share([float(right) for _, right in told], [one.item for one, _ in told])
        rows += _row(f"parts right, {rule}", share)
    return rows


def _share(
    name: str, items: Sequence[ItemData], values: Sequence[float]
) -> list[tuple[str, str, str]]:
    return _row(name, statistics.share(values, groups_of(items)))


def _row(name: str, share: statistics.Estimate | None) -> list[tuple[str, str, str]]:
    if share is None:
        return []
    note = f"{share.low:.1%} to {share.high:.1%} (95%, n = {share.n})"
    return [(name, f"{share.value:.1%}", note)]


def _part(item: ItemData) -> str:
    """What the id of a made row begins with, before its number of three digits."""
    found = _MADE_ID.fullmatch(item.item)
    return found[1] if found else ""
