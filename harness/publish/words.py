"""Values of a record as words for a reader. Pure functions; nothing here knows HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from harness.ask.claims import Kind, Rule
from harness.judge.verdicts import Finding, Interval, Outcome, Value, Verdict
from harness.metric import Metric
from harness.metrics import METRICS
from harness.run.protocol import Option
from harness.run.records import Machine

SYNTHETIC = "synthetic weights: valid for memory and speed, not for quality"
NO_FIGURE = "no figure"


@dataclass(frozen=True)
class OutcomeWords:
    """`name` also picks icon and colour; `meaning` is the sentence under the counts."""

    name: Outcome
    word: str
    meaning: str


OUTCOMES: dict[Outcome, OutcomeWords] = {
    row.name: row
    for row in (
        OutcomeWords("supported", "Supported", "the whole interval meets the rule"),
        OutcomeWords("refuted", "Refuted", "the whole interval breaks the rule"),
        OutcomeWords("inconclusive", "Inconclusive", "the evidence does not settle it"),
        OutcomeWords("not_tested", "Not tested", "could be measured; no record yet"),
        OutcomeWords("not_testable", "Not testable", "an opinion, a prediction, or out of reach"),
    )
}

QUESTIONS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("Does it fit my memory?", ("memory", "context length")),
    ("How fast is it?", ("latency",)),
    ("How good are its answers?", ("accuracy",)),
    ("How does it compare?", ("comparison",)),
    ("Can it call tools?", ("tool calling",)),
    ("What is it, and may I use it?", ("identity", "licence")),
    ("Can I get it, and in which form?", ("availability", "exports")),
    ("Does the code run that it recommends?", ("API compatibility",)),
    ("What does it cost?", ("price",)),
    ("Does the panel score match the reviews?", ("panel score",)),
    ("What can nothing here settle?", ("prediction", "opinion")),
)
"""In the order in which readers ask; together they hold every kind of claim once."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)


def value(metric: Metric, estimate: Value | None) -> str:
    """An estimate at the edge: `41.2 tokens/s`, `yes`; never 0 for what is unknown."""
    return NO_FIGURE if estimate is None else metric.show(estimate)


def between(metric: Metric, low: float, high: float | None) -> str:
    """`41.2 to 43.0 tokens/s`: the unit once where both ends share it."""
    first = metric.show(low)
    if high is None:
        return f"{first} or more"
    last = metric.show(high)
    ends = [re.fullmatch(r"([-\d.,]+)( \S.*)", text) for text in (first, last)]
    if ends[0] and ends[1] and ends[0][2] == ends[1][2]:
        return f"{ends[0][1]} to {last}"
    return f"{first} to {last}"


def interval_kind(found: Interval) -> str:
    """The interval's level, or its method where no level exists."""
    return f"{found.level * 100:g}% interval" if found.level is not None else found.method


def figure(metric: Metric, found: Finding) -> tuple[str, str]:
    """The figure that stands for a finding, and how sure it is.

    Bounds without an estimate stand for themselves.
    """
    n, span = count(found), found.interval
    if span is None:
        return value(metric, found.estimate), n
    ends = between(metric, span.low, span.high)
    if found.estimate is None:
        return ends, f"{interval_kind(span)}, {n}"
    return value(metric, found.estimate), f"{ends} ({interval_kind(span)}, {n})"


def count(finding: Finding) -> str:
    """`n = 7 of 8, 1 failed`."""
    failed = f", {finding.failed} failed" if finding.failed else ""
    return f"n = {finding.n} of {finding.planned}{failed}"


def rule(found: Rule) -> str:
    """The rule as one sentence."""
    metric = METRICS[found.metric]
    limit = metric.show(found.threshold)
    compare = {">=": f"at least {limit}", "<=": f"at most {limit}", "==": f"exactly {limit}"}
    if found.op == "same":
        margin = (found.margin or 0) * 100
        compare["same"] = f"within {margin:g}% of {limit}"
        if not found.threshold:  # of nothing a share is nothing
            compare["same"] = f"within {margin:g} points of 0"
    return f"True if {metric.label} is {compare[found.op]}."


def is_day(text: str | None) -> bool:
    """Whether `text` is a day that <time> may carry."""
    try:
        return text is not None and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def day(text: str) -> str:
    """`4 March 2026` for `2026-03-04`; anything else as it is."""
    if not is_day(text):
        return text
    found = date.fromisoformat(text)
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def memory(size: int) -> str:
    return METRICS["anonymous_peak"].show(size)


def machine(found: Machine) -> str:
    """One line: processor, cores, memory, system."""
    virtual = ", virtual machine" if found.virtual else ""
    cores = f"{found.cores} cores ({found.threads} threads)"
    return f"{found.processor}, {cores}, {memory(found.memory_bytes)}, {found.system}{virtual}"


def machine_of(finding: Finding, machines: dict[str, Machine]) -> str:
    """The line of a finding's machine, whether or not the machine has a record."""
    if finding.machine is None:
        return "Any machine: looked up or tried, not timed"
    known = machines.get(finding.machine)
    return machine(known) if known else f"{finding.machine} (no description of it was recorded)"


def conditions(verdict: Verdict, finding: Finding) -> list[tuple[str, str]]:
    """Under what a finding was made: what was asked for and what the runtime says it used."""
    pairs: list[tuple[str, str]] = []
    if verdict.subject:
        pairs.append(("Model", verdict.subject.checkpoint))
        if verdict.subject.quantisation:
            pairs.append(("Quantisation", verdict.subject.quantisation))
    if finding.weights:
        pairs.append(("Weights", SYNTHETIC if finding.weights == "synthetic" else "as published"))
    if finding.runtime:
        pairs.append(("Runtime", f"{finding.runtime.name} {finding.runtime.version}"))
        pairs.append(("Device", finding.runtime.device))
    pairs += _asked(verdict.rule) if verdict.rule else []
    pairs += _settings(finding)
    return pairs + [("Weights file, sha256", digest) for digest in finding.artifact_sha256]


def _asked(found: Rule) -> list[tuple[str, str]]:
    on, pairs = found.conditions, []
    if on.task:
        pairs.append(("Task", on.task))
    if on.facets:
        counted = ", ".join(f"{name} {on.facets[name]}" for name in sorted(on.facets))
        pairs.append(("Only items under", counted))
    if METRICS[found.metric].comes_from == "memory":
        pairs.append(("Contexts tried", ", ".join(f"{size:,}" for size in on.contexts)))
    if on.least_accuracy:
        pairs.append(("Enough at a length", f"{on.least_accuracy:.0%} of the items right"))
    if on.memory_limit:
        pairs.append(("Memory cap", memory(on.memory_limit)))
    if on.page_cache:
        pairs.append(("Page cache", on.page_cache))
    if on.services:
        pairs.append(("Services", ", ".join(on.services)))
    if on.call:
        pairs.append(("Call", on.call))
    if on.against:
        pairs.append(("Compared with", " ".join(on.against)))
    return pairs


def _settings(finding: Finding) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if finding.settings:
        on = finding.settings
        pairs.append(("Context", f"{on.context:,} tokens"))
        pairs.append(("Threads", str(on.threads)))
        pairs.append(("Settings", ", ".join(_option(*one) for one in on.options.items())))
    if finding.shape:
        shape = finding.shape
        size = f"{shape.prompt_tokens} prompt tokens, {shape.new_tokens} new tokens"
        pairs.append(("Shape", f"{size}, {shape.repeats} times per process"))
    return pairs


def _option(name: str, value: Option) -> str:
    """A setting in words: `flash attention on`."""
    shown = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    return f"{name.replace('_', ' ')} {shown}"


def headline(verdict: Verdict, machines: dict[str, Machine]) -> str | None:
    """The estimate of each machine as one text; None where nothing was measured."""
    if verdict.rule is None or not verdict.findings:
        return None
    metric, parts = METRICS[verdict.rule.metric], []
    for found in verdict.findings:
        text = ", ".join(figure(metric, found))
        if found.weights == "synthetic":
            text += f", {SYNTHETIC}"
        if len(verdict.findings) > 1:
            text += f" on {machine_of(found, machines)}"
        parts.append(text)
    return "; ".join(parts)


def question(kind: Kind) -> str:
    """The reader's question that a kind of claim answers."""
    return next(title for title, kinds in QUESTIONS if kind in kinds)
