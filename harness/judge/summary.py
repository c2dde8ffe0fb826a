"""A run's metrics at a glance, for people at a terminal. Verdicts don't use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness import statistics
from harness.judge.estimates import groups_of
from harness.metrics import METRICS
from harness.run.records import ItemData, Run, Sample
from harness.run.values import value


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
    if share := statistics.share([item.correct for item in items], groups_of(items)):
        note = f"{share.low:.1%} to {share.high:.1%} (95%, n = {share.n})"
        rows.append(("correct", f"{share.value:.1%}", note))
    for outcome, count in Counter(item.outcome for item in items).most_common():
        rows.append((outcome, str(count), f"of {len(items)} items"))
    causes = Counter(sample.cause for sample in samples if sample.cause)
    rows += [(str(cause), str(count), "samples without data") for cause, count in causes.items()]
    return rows
