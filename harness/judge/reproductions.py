"""The reproduction record: what came out when somebody repeated a verdict's evidence.

`compare` is a pure function of the two findings, as a verdict is one of its runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness import statistics
from harness.ask.claims import Rule
from harness.ask.models import Sha256
from harness.ask.yaml_file import Row
from harness.errors import BadFile
from harness.judge.verdicts import Finding, Interval, Outcome, Value
from harness.metrics import METRICS
from harness.run.records import Machine

Answer = Literal["reproduced", "differs", "not_comparable"]

SESSIONS = 0.05
"""Sessions of one machine differ by about this much, which no interval over one session shows."""
_DIGITS = 9


class Original(Row):
    """What was repeated: the verdict's file by digest, and one machine's finding in it."""

    verdict_sha256: Sha256
    machine: str | None
    outcome: Outcome
    estimate: Value | None
    interval: Interval | None
    n: int


class Difference(Row):
    """Here against there. `ratio` of figures, `difference` of shares; 95% interval.

    `interval` null: one figure against one, without chance.
    """

    kind: Literal["ratio", "difference"]
    value: float
    interval: Interval | None


class Reproduction(Row):
    """One machine's repetition of a verdict. `finding` null: nothing was run, `reasons` say why."""

    schema_version: Literal[1] = 1
    page: str
    claim: str
    of: Original
    machine: Machine
    answer: Answer
    reasons: list[str]
    """Why the two do not compare; empty where they do."""
    difference: Difference | None
    finding: Finding | None
    """Of the runs here. Its p is of this claim alone."""


def obstacles(there: Finding, here: Finding) -> list[str]:
    """Why two findings of one rule do not compare; empty where they do.

    Processors may differ, that is what a reproduction is for; threads are theirs.
    """
    found = []
    for where, finding in (("there", there), ("here", here)):
        failed = [gate.name for gate in finding.gates if gate.passed is False]
        if failed:
            found.append(f"the run {where} is invalid: {', '.join(failed)}")
        if finding.machine is not None and finding.n < finding.planned:
            found.append(f"{finding.n} of the {finding.planned} planned {where}")
    pairs = {
        "runtime": [
            f"{one.runtime.name} {one.runtime.version}" if one.runtime else "none"
            for one in (there, here)
        ],
        "device": [one.runtime.device if one.runtime else "none" for one in (there, here)],
        "weights": [str(one.weights) for one in (there, here)],
        "artifact": [" ".join(one[:12] for one in two.artifact_sha256) for two in (there, here)],
        "context": [str(one.settings and one.settings.context) for one in (there, here)],
        "settings": [str(one.settings and one.settings.options) for one in (there, here)],
        "shape": [str(one.shape) for one in (there, here)],
    }
    return found + [
        f"{name}: {one} there, {other} here" for name, (one, other) in pairs.items() if one != other
    ]


def compare(rule: Rule, there: Finding, here: Finding) -> tuple[Answer, Difference | None]:
    """Whether the figure here is the one there, and by how much it is another.

    A ratio of times or sizes reproduces where its interval holds 1 or lies within `SESSIONS` of it.
    A wide interval shows little, whatever it holds; it stands in the record.
    """
    statistic = METRICS[rule.metric].statistic
    if statistic in ("log_t", "paired", "windows"):
        values = [[point.value for point in one.series if point.value] for one in (here, there)]
        ratio = statistics.ratio_of_means(values[0], values[1])
        return _ratio(ratio) if ratio else ("not_comparable", None)
    if (
        statistic in ("wilson", "token_pairs")
        and isinstance(here.estimate, float)
        and isinstance(there.estimate, float)
    ):
        found = statistics.difference_of_shares(
            round(here.estimate * here.n), here.n, round(there.estimate * there.n), there.n
        )
        return _difference(found)
    if statistic == "lead":
        return _difference(_moved(there, here))
    if (
        statistic == "slope"
        and isinstance(here.estimate, float)
        and isinstance(there.estimate, float)
    ):
        value = _rounded(here.estimate / there.estimate)
        same = abs(value - 1) <= SESSIONS
        return "reproduced" if same else "differs", Difference(
            kind="ratio", value=value, interval=None
        )
    if statistic == "reach" and here.interval and there.interval:
        return "reproduced" if _meet(here.interval, there.interval) else "differs", None
    same = (here.estimate, here.interval) == (there.estimate, there.interval)
    return "reproduced" if same else "differs", None


def answered(
    rule: Rule, there: Finding, here: Finding
) -> tuple[Answer, list[str], Difference | None]:
    """The answer, the reasons why the two do not compare, and the difference where they do."""
    reasons = obstacles(there, here)
    if reasons:
        return "not_comparable", reasons, None
    answer, difference = compare(rule, there, here)
    return answer, reasons, difference


def _ratio(found: statistics.Estimate) -> tuple[Answer, Difference]:
    near = found.low >= 1 - SESSIONS and found.high <= 1 + SESSIONS
    same = near or found.low <= 1 <= found.high
    return "reproduced" if same else "differs", _told("ratio", found)


def _meet(one: Interval, other: Interval) -> bool:
    """Whether some length lies in both; an interval without an upper end is open."""
    ends = [math.inf if span.high is None else span.high for span in (one, other)]
    return max(one.low, other.low) < min(ends)


def _difference(found: statistics.Estimate | None) -> tuple[Answer, Difference | None]:
    if found is None:
        return "not_comparable", None
    same = found.low <= 0 <= found.high
    return "reproduced" if same else "differs", _told("difference", found)


def _moved(there: Finding, here: Finding) -> statistics.Estimate | None:
    """One estimate less another, its interval from theirs (Zou and Donner's MOVER)."""
    a, b, old, new = here.estimate, there.estimate, there.interval, here.interval
    if not isinstance(a, float) or not isinstance(b, float) or old is None or new is None:
        return None
    if old.high is None or new.high is None:
        return None
    low = a - b - math.hypot(a - new.low, old.high - b)
    high = a - b + math.hypot(new.high - a, b - old.low)
    return statistics.Estimate(
        a - b, low, high, min(here.n, there.n), "MOVER, from both intervals", statistics.LEVEL
    )


def _told(kind: Literal["ratio", "difference"], found: statistics.Estimate) -> Difference:
    interval = Interval(
        low=_rounded(found.low), high=_rounded(found.high), level=found.level, method=found.method
    )
    return Difference(kind=kind, value=_rounded(found.value), interval=interval)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def place(results: Path, page: str, claim: str) -> Path:
    """The folder with the reproductions of a verdict, beside the verdict's file."""
    return results / "verdicts" / page / claim


def read(results: Path, page: str, claim: str) -> list[Reproduction]:
    """All of a verdict's, by machine. Raises BadFile."""
    return [read_file(path) for path in sorted(place(results, page, claim).glob("*.json"))]


def read_file(path: Path) -> Reproduction:
    """One reproduction. Raises BadFile."""
    try:
        return Reproduction.model_validate_json(json.dumps(json.loads(path.read_bytes())))
    except ValidationError as error:
        raise BadFile(f"{path}: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise BadFile(f"{path}: no JSON: {error}") from error


def spread(found: Sequence[Reproduction]) -> tuple[float, float] | None:
    """The smallest and the largest ratio to the original, of those that compare."""
    ratios = [
        one.difference.value for one in found if one.difference and one.difference.kind == "ratio"
    ]
    return (min(ratios), max(ratios)) if ratios else None
