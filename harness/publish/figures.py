"""Which series become a chart, and the table that always stands beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markupsafe import Markup

from harness.judge.verdicts import Finding, Point, Verdict
from harness.metric import Metric
from harness.metrics import METRICS
from harness.publish import charts, stacks, words
from harness.publish.charts import Bar, Chart
from harness.publish.stacks import Part, Stack
from harness.run.records import Machine

_BY_CONTEXT = {
    "bracket": "Peak memory by context length",
    "slope": "Memory growth while a context is created",
}
"""The statistics whose series has a step per context length, and what its steps hold."""
_CAUSES = {
    "fitted": "fitted",
    "out_of_memory": "did not fit: out of memory",
    "crashed": "failed: the process crashed",
    "timeout": "failed: no answer in time",
    "bad_artifact": "failed: the model file could not be used",
    "bad_item": "failed: the item could not be asked",
    "refused": "failed: the runtime did something else",
}

_CALLS = {
    "exact": "supported",
    "recovered": "supported",
    "clean_abstention": "supported",
    "wrong_argument": "inconclusive",
    "invented_argument": "refuted",
    "invented_tool": "refuted",
    "missing_call": "inconclusive",
    "spurious_call": "inconclusive",
    "unparseable": "not_tested",
}
"""The outcomes of tool calls in the order of their shares: right ones, wrong ones by how far they
came. The sort gives the colour: right, nearly, invented, unreadable."""


@dataclass(frozen=True)
class Table:
    """A small table: caption, heads, rows of text. The first cell of a row heads it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(verdict: Verdict, finding: Finding) -> Table | None:
    """The series of a finding as a table, if there is one."""
    if not finding.series or verdict.rule is None:
        return None
    metric, series = METRICS[verdict.rule.metric], _ordered(finding.series)
    caption, heads = _captions(metric)
    shares = _shares(metric, series)
    columns = (
        [_label(metric, one) for one in series],
        [_value(metric, one) for one in series],
        shares,
        [_note(one) for one in series],
    )
    said = (
        True,
        any(point.value is not None for point in series),
        any(shares),
        any(point.note for point in series),
    )
    kept = [at for at, some in enumerate(said) if some]
    rows = tuple(zip(*(columns[at] for at in kept), strict=True))
    return Table(caption, tuple(heads[at] for at in kept), rows)


def _ordered(series: list[Point]) -> list[Point]:
    """Outcomes of tool calls in their own order, anything else as it is."""
    if not _are_calls(series):
        return series
    return sorted(series, key=lambda point: list(_CALLS).index(point.label))


def _by_outcome(metric: Metric) -> bool:
    """Whether the steps of its series are outcomes of items, and how many items had each."""
    return metric.comes_from is None and metric.statistic != "reach"


def _are_calls(series: list[Point]) -> bool:
    return all(point.label in _CALLS and point.value for point in series)


def _shares(metric: Metric, series: list[Point]) -> list[str]:
    """Of all items, where the steps are outcomes; else empty texts."""
    total = sum(point.value or 0 for point in series)
    if not total or not _by_outcome(metric):
        return [""] * len(series)
    return [f"{(point.value or 0) / total:.1%}" for point in series]


def _captions(metric: Metric) -> tuple[str, tuple[str, str, str, str]]:
    if metric.statistic == "reach":
        return "Share of right items by length", ("Length", "Share right", "", "Interval")
    if _by_outcome(metric):
        return "Items by outcome", ("Outcome", "Items", "Share", "Note")
    if metric.statistic in _BY_CONTEXT:
        return _BY_CONTEXT[metric.statistic], ("Context", "Own memory", "", "Result")
    if metric.comes_from == "panel":
        return "What each reviewer says", ("Reviewer", "Value", "", "Words")
    return "Every measurement behind the figure", ("Measurement", "Value", "", "Note")


def chart(verdict: Verdict, finding: Finding, name: str) -> Markup | None:
    """A drawing, where looking is quicker than reading: memory by context, items by outcome."""
    rule = verdict.rule
    if rule is None or len(finding.series) < 2:
        return None
    metric = METRICS[rule.metric]
    if metric.statistic in _BY_CONTEXT:
        return charts.draw(_memory(metric, finding, rule.conditions.memory_limit), name)
    if metric.comes_from is None and _are_calls(finding.series):
        return stacks.draw(_calls(metric, finding), name)
    if _by_outcome(metric):
        return charts.draw(_outcomes(metric, finding), name)
    return None


def _calls(metric: Metric, finding: Finding) -> Stack:
    parts = tuple(
        Part(_label(metric, point), point.value or 0, _CALLS[point.label])
        for point in _ordered(finding.series)
    )
    total = sum(part.count for part in parts)
    told = ", ".join(f"{part.label} {part.count / total:.1%}" for part in parts)
    return Stack("Outcomes of tool calls", f"Shares of {total:g} items: {told}.", parts)


def _memory(metric: Metric, finding: Finding, limit: int | None) -> Chart:
    bars = []
    for point in finding.series:
        text = _value(metric, point)
        if point.note and point.note != "fitted":
            text = "did not fit" if point.note == "out_of_memory" else _note(point)
        bars.append(Bar(f"{_label(metric, point)} tokens", point.value, text))
    missed = [_label(metric, one) for one in finding.series if one.note == "out_of_memory"]
    cap = f" under a cap of {words.memory(limit)}" if limit else ""
    ends = f" Out of memory at {', '.join(missed)} tokens." if missed else ""
    return Chart(
        _BY_CONTEXT[metric.statistic],
        f"The process's own memory at {len(bars)} context lengths{cap}.{ends}"
        " The table beside this chart holds every figure.",
        tuple(bars),
        (float(limit), f"cap {words.memory(limit)}") if limit else None,
    )


def _outcomes(metric: Metric, finding: Finding) -> Chart:
    bars = [
        Bar(_label(metric, point), point.value, _value(metric, point)) for point in finding.series
    ]
    parts = ", ".join(f"{bar.label}: {bar.text}" for bar in bars)
    return Chart("Items by outcome", f"Number of items with each outcome. {parts}.", tuple(bars))


def speeds(verdicts: list[Verdict], machines: dict[str, Machine]) -> list[tuple[Table, Markup]]:
    """A table and a chart per group of speeds that may be compared: two models or more,
    timed with the same metric, runtime and shape on the same machine."""
    groups: dict[tuple[str, ...], dict[str, tuple[Bar, tuple[str, ...]]]] = {}
    for verdict in verdicts:
        for found in verdict.findings:
            key, row = _speed(verdict, found, machines)
            if key and row:
                groups.setdefault(key, {}).setdefault(row[1][0], row)
    drawn = []
    for at, (key, rows) in enumerate(groups.items(), 1):
        if len(rows) > 1:
            title = f"{key[0].capitalize()} by model"
            bars = tuple(bar for bar, _ in rows.values())
            desc = f"{key[0].capitalize()} of {len(bars)} models on {key[1]}; lines are intervals."
            heads = ("Model", "Measured")
            under = f"{title} on {key[1]}; {key[2]}; {key[3]}"
            made = Table(under, heads, tuple(cells for _, cells in rows.values()))
            drawn.append((made, charts.draw(Chart(title, desc, bars), f"chart-speed-{at}")))
    return drawn


def _speed(
    verdict: Verdict, found: Finding, machines: dict[str, Machine]
) -> tuple[tuple[str, ...] | None, tuple[Bar, tuple[str, ...]] | None]:
    """What a speed may be compared with, and its bar and row; Nones for anything else."""
    rule, subject = verdict.rule, verdict.subject
    if rule is None or subject is None or rule.metric not in ("decode_rate", "prefill_rate"):
        return None, None
    estimate, runtime, shape = found.estimate, found.runtime, found.shape
    if runtime is None or shape is None or isinstance(estimate, str | None):
        return None, None
    metric, span = METRICS[rule.metric], found.interval
    size = f"{shape.prompt_tokens} prompt tokens, {shape.new_tokens} new tokens"
    ran = f"{runtime.name} {runtime.version} on {runtime.device}"
    key = (metric.label, words.machine_of(found, machines), ran, size)
    label = " ".join(filter(None, (subject.checkpoint, subject.quantisation)))
    short = " ".join(filter(None, (subject.checkpoint.rpartition("/")[2], subject.quantisation)))
    text, ends = words.figure(metric, found)
    drawn = text
    if found.weights == "synthetic":
        label, drawn = f"{label} ({words.SYNTHETIC})", f"synthetic, {text}"
    low, high = (span.low, span.high) if span else (None, None)
    return key, (Bar(short, float(estimate), drawn, low, high), (label, f"{text}, {ends}"))


def _value(metric: Metric, point: Point) -> str:
    if point.value is None:
        return words.NO_FIGURE
    if metric.statistic in _BY_CONTEXT:
        return words.memory(int(point.value))
    if metric.statistic in ("log_t", "paired"):
        return metric.show(point.value)
    if metric.statistic == "reach":
        return f"{point.value:.1%}"
    return f"{point.value:,.10g}"


def _note(point: Point) -> str:
    return _CAUSES.get(point.note, point.note)


def _label(metric: Metric, point: Point) -> str:
    if metric.statistic in _BY_CONTEXT and re.fullmatch("[0-9]{1,18}", point.label):
        return f"{int(point.label):,}"
    return point.label.replace("_", " ")
