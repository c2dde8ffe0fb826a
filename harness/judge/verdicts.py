"""The verdict record: what the project says of a claim, and on what it rests."""

from __future__ import annotations

import json
from typing import Literal

from harness.ask.claims import Claim, Rule
from harness.ask.models import Sha256
from harness.ask.yaml_file import Row
from harness.run import upgrade
from harness.run.protocol import Settings, Shape
from harness.run.records import Gate, RuntimeRecord, Weights

Outcome = Literal["supported", "refuted", "inconclusive", "not_tested", "not_testable"]

Value = bool | int | float | str


class Interval(Row):
    """`high` null: open above. `level` null: not a statistical interval (bounds, brackets)."""

    low: float
    high: float | None
    level: float | None
    method: str


class Evidence(Row):
    """A file below results/ and its digest."""

    path: str
    sha256: Sha256


class Point(Row):
    """One step of a series for a chart: largest_context by context, outcomes by name, .."""

    label: str
    value: float | None
    note: str


class Finding(Row):
    """What one machine's runs say of the claim. `machine` null: true on any machine."""

    machine: str | None
    outcome: Literal["supported", "refuted", "inconclusive"]
    reason: str
    estimate: Value | None
    interval: Interval | None
    n: int
    planned: int
    """The rule's n; of items, those of it that have the rule's facets or may have them."""
    failed: int
    p_value: float | None
    """Against the threshold, adjusted by Holm over the page's claims on this machine."""
    weights: Weights | None
    runtime: RuntimeRecord | None
    settings: Settings | None
    shape: Shape | None
    artifact_sha256: list[Sha256]
    gates: list[Gate]
    warnings: list[str]
    series: list[Point]
    measured: str | None
    """The day (UTC) the last of the runs ended."""
    evidence: list[Evidence]


class Subject(Row):
    """The model the claim is taken to mean. `note`: why, where the page's name matches none."""

    model: str
    checkpoint: str
    quantisation: str | None
    weights: Weights | None
    note: str


class Verdict(Row):
    """One claim judged. `findings` hold one entry per machine with evidence."""

    schema_version: Literal[2] = 2
    claim: Claim
    rule: Rule | None
    subject: Subject | None
    outcome: Outcome
    reason: str
    would_change: str
    """What kind of evidence would turn this verdict."""
    unit: str | None
    metric_definition: str | None
    misses: str | None
    findings: list[Finding]
    command: str | None
    """Repeats the evidence on the reader's machine; null for what can't be tested."""


def parse(raw: bytes) -> Verdict:
    """The verdict in a file of any version. Raises ValueError, of which ValidationError is one."""
    data = json.loads(raw)
    new = upgrade.verdict(data)
    return Verdict.model_validate_json(raw if new is data else json.dumps(new))
