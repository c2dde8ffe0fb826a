"""in-toto Statements (v1) with a test-result predicate: these weights passed or failed this claim.

Unsigned: what they prove is which bytes a verdict speaks of, not who made it. There is none where
no artifact was loaded, for instance for a fact read from a document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from harness.judge.verdicts import Outcome, Verdict
from harness.run import store

_RESULTS: dict[Outcome, tuple[str, str]] = {
    "supported": ("PASSED", "passedTests"),
    "refuted": ("FAILED", "failedTests"),
    "inconclusive": ("WARNED", "warnedTests"),
}


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    found = {one.claim.id: statement(one) for one in verdicts}
    return {
        f"in-toto/{name}.json": (json.dumps(one, indent=1, ensure_ascii=False) + "\n").encode()
        for name, one in found.items()
        if one
    }


def statement(verdict: Verdict) -> dict[str, Any] | None:
    """One Statement; its configuration names the verdict record and the evidence by digest."""
    digests = {digest for finding in verdict.findings for digest in finding.artifact_sha256}
    if not digests or verdict.outcome not in _RESULTS:
        return None
    result, tests = _RESULTS[verdict.outcome]
    record = hashlib.sha256(store.to_json(verdict)).hexdigest()
    evidence = {
        f"records/{one.path}": one.sha256
        for finding in verdict.findings
        for one in finding.evidence
    }
    names = {f"verdicts/{verdict.claim.id}.json": record} | evidence
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [_descriptor(_name(verdict), digest) for digest in sorted(digests)],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": result,
            "configuration": [_descriptor(*one) for one in names.items()],
            tests: [verdict.claim.id],
        },
    }


def _descriptor(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _name(verdict: Verdict) -> str:
    """The checkpoint for a reader; it is the digest that says which bytes."""
    subject = verdict.subject
    if subject is None:
        return verdict.claim.model or verdict.claim.tool
    synthetic = "synthetic weights" if subject.weights == "synthetic" else None
    return " ".join(filter(None, (subject.checkpoint, subject.quantisation, synthetic)))
