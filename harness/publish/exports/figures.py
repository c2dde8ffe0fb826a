"""What a verdict says as flat text, one row per machine; the columns of the table."""

from __future__ import annotations

from harness.judge.verdicts import Finding, Value, Verdict

COLUMNS = (
    "claim",
    "page",
    "tool",
    "kind",
    "quote",
    "checkpoint",
    "quantisation",
    "outcome",
    "metric",
    "op",
    "threshold",
    "margin",
    "unit",
    "machine",
    "finding",
    "estimate",
    "low",
    "high",
    "level",
    "n",
    "planned",
    "failed",
    "p_value",
    "weights",
    "runtime",
    "runtime_version",
    "device",
    "measured",
    "reason",
)


def rows(verdict: Verdict) -> list[dict[str, str]]:
    """A row per finding, or one without figures. What is unknown is empty, never 0."""
    claim, rule, subject = verdict.claim, verdict.rule, verdict.subject
    common: dict[str, Value | None] = {
        "claim": claim.id,
        "page": claim.page,
        "tool": claim.tool,
        "kind": claim.kind,
        "quote": " ".join(claim.quote.split()),
        "outcome": verdict.outcome,
        "unit": verdict.unit,
        "reason": verdict.reason,
    }
    if subject:
        common |= {"checkpoint": subject.checkpoint, "quantisation": subject.quantisation}
    if rule:
        common |= {"metric": rule.metric, "op": rule.op}
        common |= {"threshold": rule.threshold, "margin": rule.margin}
    found = [common | _finding(one) for one in verdict.findings] or [common]
    return [{name: _text(row.get(name)) for name in COLUMNS} for row in found]


def _finding(found: Finding) -> dict[str, Value | None]:
    interval, runtime = found.interval, found.runtime
    return {
        "machine": found.machine,
        "finding": found.outcome,
        "estimate": found.estimate,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "level": interval.level if interval else None,
        "n": found.n,
        "planned": found.planned,
        "failed": found.failed,
        "p_value": found.p_value,
        "weights": found.weights,
        "runtime": runtime.name if runtime else None,
        "runtime_version": runtime.version if runtime else None,
        "device": runtime.device if runtime else None,
        "measured": found.measured,
        "reason": found.reason,
    }


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
