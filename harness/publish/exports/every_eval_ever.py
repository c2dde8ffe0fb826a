"""Every Eval Ever 0.3.0: one document per machine and verdict on a task.

Scores of tasks only: the schema is one of evaluations, and speed of a machine is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from harness import __version__
from harness.judge.verdicts import Finding, Verdict
from harness.metrics import METRICS
from harness.publish import words

VERSION = "0.3.0"


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for verdict in verdicts:
        if not verdict.rule or not verdict.rule.conditions.task or not verdict.subject:
            continue
        for at, finding in enumerate(verdict.findings, 1):
            if isinstance(finding.estimate, int | float) and words.is_day(finding.measured):
                name = f"every-eval-ever/{verdict.claim.id}-{at}.json"
                text = json.dumps(_document(verdict, finding), indent=1, ensure_ascii=False)
                found[name] = (text + "\n").encode()
    return found


def _document(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    subject, claim = verdict.subject, verdict.claim
    assert subject and verdict.rule and finding.measured  # as `export` chose them
    day = datetime.fromisoformat(finding.measured).replace(tzinfo=UTC)
    stamp = str(int(day.timestamp()))
    developer, _, name = subject.checkpoint.rpartition("/")
    runtime = finding.runtime
    return {
        "schema_version": VERSION,
        "evaluation_id": f"{verdict.rule.conditions.task}/{subject.checkpoint}/{stamp}/{claim.id}",
        "evaluation_timestamp": stamp,
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": f"verdict on claim {claim.id}",
            "source_type": "evaluation_run",
            "source_organization_name": "claimbench",
            "evaluator_relationship": "third_party",
            "additional_details": {"machine": str(finding.machine), "outcome": finding.outcome},
        },
        "eval_library": {"name": "claimbench", "version": __version__},
        "model_info": {
            "name": name,
            "id": subject.checkpoint,
            "developer": developer,
            **(
                {"inference_engine": {"name": runtime.name, "version": runtime.version}}
                if runtime
                else {}
            ),
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "open_weights",
                "quantisation": str(subject.quantisation),
                "sha256": " ".join(finding.artifact_sha256),
            },
        },
        "evaluation_results": [_result(verdict, finding)],
    }


def _result(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    assert verdict.rule  # as `export` chose them
    metric, task, span = (
        METRICS[verdict.rule.metric],
        verdict.rule.conditions.task,
        finding.interval,
    )
    uncertainty: dict[str, Any] = {"num_samples": finding.n}
    if span and span.high is not None and span.level is not None:
        uncertainty["confidence_interval"] = {
            "lower": span.low,
            "upper": span.high,
            "confidence_level": span.level,
            "method": span.method,
        }
    return {
        "evaluation_name": task,
        "source_data": {"dataset_name": task, "source_type": "other"},
        "metric_config": {
            "evaluation_description": metric.definition,
            "metric_id": metric.name,
            "metric_name": metric.label,
            "metric_unit": "proportion" if metric.unit == "share" else metric.unit,
            "lower_is_better": metric.better == "lower",
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1 if metric.unit == "share" else None,
        },
        "score_details": {"score": finding.estimate, "uncertainty": uncertainty},
    }
