"""Hugging Face's .eval_results/*.yaml, one file per claim: a score and its day, nothing more.

A file says less than a verdict does (no machine, no interval, no runtime), so the notes name what
matters. Only real weights, only scores whose run was valid, only tasks whose data set the hub has.
Whether the hub shows it is the data set's owner's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from harness.judge.verdicts import Finding, Verdict
from harness.metrics import METRICS

_DATASETS = {
    "bfcl_simple_python": (
        "gorilla-llm/Berkeley-Function-Calling-Leaderboard",
        "simple_python",
    ),
}
"""By task: where the hub keeps the data, and the name of the part that was asked."""
_PROMPT = "asked with a prompt of its own: no score of the leaderboard"


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for verdict in verdicts:
        rows = [entry for one in verdict.findings if (entry := _entry(verdict, one))]
        if rows:
            text = yaml.safe_dump(rows, sort_keys=False, allow_unicode=True)
            found[f"eval_results/{verdict.claim.id}.yaml"] = text.encode()
    return found


def _entry(verdict: Verdict, finding: Finding) -> dict[str, Any] | None:
    rule, subject = verdict.rule, verdict.subject
    dataset = _DATASETS.get(rule.conditions.task or "") if rule else None
    valid = all(gate.passed is not False for gate in finding.gates)
    if not (rule and subject and dataset and valid and finding.weights == "real"):
        return None
    if METRICS[rule.metric].better != "higher" or not isinstance(finding.estimate, float):
        return None  # the hub orders by size
    runtime = f"{finding.runtime.name} {finding.runtime.version}" if finding.runtime else ""
    about = (rule.metric, f"n = {finding.n}", subject.quantisation, runtime, _PROMPT)
    return {
        "dataset": {"id": dataset[0], "task_id": dataset[1]},
        "value": finding.estimate,
        "date": finding.measured,
        "notes": ", ".join(filter(None, about)),
    }
