"""Stored runs and rules to verdicts. The same records give the same bytes on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness import statistics
from harness.ask.claims import Claim, Rule
from harness.ask.models import Model
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.garbage import uncollected
from harness.judge import estimates, other_rules
from harness.judge.effort import told
from harness.judge.parity import obstacle
from harness.judge.reading import Cells, Reading
from harness.judge.shelf import Chosen, Shelf, Stored, played, problem
from harness.judge.verdicts import (
    Evidence,
    Finding,
    Interval,
    Outcome,
    Subject,
    Value,
    Verdict,
    parse,
)
from harness.metric import TWO_RUNS
from harness.metrics import METRICS
from harness.run import store
from harness.run.records import Sample

ALPHA = 1 - statistics.LEVEL
_DIGITS = 9
"""Significant digits kept of every computed number: below them processors may differ."""


@dataclass(frozen=True)
class Case:
    """A claim before one machine's evidence."""

    chosen: Chosen
    reading: Reading
    planned: int
    failed: int
    problem: str | None
    """Why the evidence does not count: a failed gate, too few samples, arms of two sessions."""
    flips: tuple[str, ...]
    """Other rules of scoring under which the reading would decide otherwise."""


@uncollected()
def judge(
    results: Path,
    claims: Iterable[Claim],
    models: Mapping[str, Model],
    tasks: Mapping[str, Task] | None = None,
) -> list[Verdict]:
    """One verdict per claim, in the order of the claims. Raises BadFile for a damaged record."""
    shelf = Shelf(results)
    claims = list(claims)
    chosen = [shelf.chosen(claim) for claim in claims]
    cases = iter(_adjusted(_cases(shelf, [one for found in chosen for one in found])))
    return [
        _verdict(results, claim, [next(cases) for _ in found], models, tasks)
        for claim, found in zip(claims, chosen, strict=True)
    ]


def _cases(shelf: Shelf, chosen: Sequence[Chosen]) -> list[Case]:
    """In the order given, read in the order of the runs: each run is then read once."""
    order = sorted(range(len(chosen)), key=lambda at: [one.folder.name for one in chosen[at].runs])
    read = {at: _case(chosen[at], shelf.samples(chosen[at].runs)) for at in order}
    return [read[at] for at in range(len(chosen))]


def _case(chosen: Chosen, samples: Sequence[list[Sample]]) -> Case:
    claim, rule = chosen.claim, chosen.rule
    cells = [
        (one.run.cell, _planned(mine, rule)) for one, mine in zip(chosen.runs, samples, strict=True)
    ]
    reading = estimates.read(claim, rule, cells)
    planned = estimates.planned(rule, cells[0][1])
    failed = sum(_failed(mine, rule) for mine in samples)
    doubt = problem(rule, chosen.runs) or played(rule, samples) or _unlike(rule, cells)
    flips = other_rules.flips(rule, cells, reading)
    return Case(chosen, reading, planned, failed, doubt, flips)


def _unlike(rule: Rule, cells: Cells) -> str | None:
    """Whether two artifacts of one model were asked different things. Two models may be."""
    if METRICS[rule.metric].statistic not in TWO_RUNS:
        return None
    (cell, mine), (against, other) = cells
    return obstacle(mine, other) if cell.model == against.model else None


def _failed(samples: Sequence[Sample], rule: Rule) -> int:
    """Samples without data; where the rule asks what fits, running out of memory is an answer."""
    asked = METRICS[rule.metric].statistic in ("bracket", "reach")
    causes = [sample.cause for sample in samples if sample.cause]
    return sum(1 for cause in causes if not (asked and cause == "out_of_memory"))


def _planned(samples: list[Sample], rule: Rule) -> list[Sample]:
    """The planned n and no more: a shared cell may hold samples that another rule asked for.

    All of them where the rule speaks of every process, and n is no matter of chance.
    """
    every = METRICS[rule.metric].statistic in ("bracket", "exact", "bounds")
    return samples if every else samples[: rule.n]


def _adjusted(cases: list[Case]) -> list[Case]:
    """Holm over the statistical claims of one page on one machine: many claims, one 5%."""
    families: dict[tuple[str, str | None], list[int]] = {}
    for at, case in enumerate(cases):
        if case.reading.p_value is not None and case.problem is None:
            families.setdefault((case.chosen.claim.page, case.chosen.machine), []).append(at)
    for members in families.values():
        found = [cases[at].reading.p_value for at in members]
        adjusted = statistics.holm([p for p in found if p is not None])
        for at, p in zip(members, adjusted, strict=True):
            reading = replace(cases[at].reading, p_value=p)
            if reading.holds is not None and p > ALPHA:
                reason = f"clear alone, but not among the page's {len(members)} measured claims"
                reading = replace(reading, holds=None, reason=f"{reason} (Holm)")
            cases[at] = replace(cases[at], reading=reading)
    return cases


def _verdict(
    results: Path,
    claim: Claim,
    cases: list[Case],
    models: Mapping[str, Model],
    tasks: Mapping[str, Task] | None,
) -> Verdict:
    metric = METRICS[claim.rule.metric] if claim.rule else None
    findings = [_finding(results, case) for case in cases]
    effort = "" if findings else told(claim, models, tasks or {})
    outcome, reason = together(claim, findings, effort)
    return Verdict(
        claim=claim,
        rule=claim.rule,
        subject=_subject(claim, models, findings),
        outcome=outcome,
        reason=reason,
        would_change=_would_change(claim, outcome),
        unit=metric.unit if metric else None,
        metric_definition=metric.definition if metric else None,
        misses=metric.misses if metric else None,
        findings=findings,
        command=None if claim.rule is None else f"harness verify {claim.id}",
    )


def together(claim: Claim, findings: list[Finding], effort: str) -> tuple[Outcome, str]:
    """What the machines say together: their word where they agree; what it takes to ask one."""
    if claim.untestable is not None:
        return "not_testable", claim.untestable
    if not findings:
        return "not_tested", f"no machine has run this yet; the command below does{effort}"
    outcomes = {finding.outcome for finding in findings}
    if len(outcomes) == 1:
        return findings[0].outcome, findings[0].reason
    decided = outcomes - {"inconclusive"}
    if len(decided) == 1:
        one = next(finding for finding in findings if finding.outcome in decided)
        return one.outcome, f"{one.reason}; other machines left it open"
    said = ", ".join(f"{finding.outcome} on {finding.machine}" for finding in findings)
    return "inconclusive", f"machines disagree: {said}"


def _finding(results: Path, case: Case) -> Finding:
    runs, reading = [one.run for one in case.chosen.runs], case.reading
    outcome: Literal["supported", "refuted", "inconclusive"] = "inconclusive"
    p = None if case.problem else reading.p_value  # only counted evidence was adjusted
    if case.problem is None and reading.holds is not None:
        outcome = "supported" if reading.holds else "refuted"
    artifacts = [run.artifact for run in runs if run.artifact]
    synthetic = any(artifact.weights == "synthetic" for artifact in artifacts)
    return Finding(
        machine=case.chosen.machine,
        outcome=outcome,
        reason=case.problem or reading.reason,
        estimate=_rounded(reading.estimate),
        interval=_rounded_interval(reading.interval),
        n=reading.n,
        planned=case.planned,
        failed=case.failed,
        p_value=None if p is None else float(f"{p:.3g}"),
        weights=("synthetic" if synthetic else "real") if artifacts else None,
        runtime=runs[-1].runtime,
        settings=runs[-1].settings,
        shape=runs[-1].shape,
        artifact_sha256=sorted({artifact.sha256 for artifact in artifacts}),
        gates=[gate for run in runs for gate in run.gates],
        warnings=[*(warning for run in runs for warning in run.warnings), *case.flips],
        series=[
            point.model_copy(update={"value": _rounded(point.value)}) for point in reading.series
        ],
        measured=max(run.ended for run in runs)[:10],
        evidence=[file for one in case.chosen.runs for file in _evidence(results, one)],
    )


def _evidence(results: Path, stored: Stored) -> list[Evidence]:
    """The run's two files. Its samples have been read, so they have the digest that it names."""
    folder = stored.folder.relative_to(results).as_posix()
    digest = hashlib.sha256((stored.folder / "run.json").read_bytes()).hexdigest()
    return [
        Evidence(path=f"{folder}/run.json", sha256=digest),
        Evidence(path=f"{folder}/samples.jsonl", sha256=stored.run.samples_sha256),
    ]


def _subject(
    claim: Claim, models: Mapping[str, Model], findings: Sequence[Finding]
) -> Subject | None:
    model = models.get(claim.model or "")
    if model is None:
        return None
    return Subject(
        model=model.id,
        checkpoint=model.checkpoint,
        quantisation=claim.rule.conditions.quantisation if claim.rule else None,
        weights=findings[-1].weights if findings else None,
        note=model.alias_note,
    )


def _would_change(claim: Claim, outcome: Outcome) -> str:
    if claim.rule is None:
        return "a way to test it"
    if outcome in ("not_tested", "inconclusive"):
        return "a run whose whole interval lies on one side of the rule, with every gate passed"
    side = "fails" if outcome == "supported" else "meets"
    return f"a valid run on another machine or build whose whole interval {side} the rule"


def _rounded(value: Value | None) -> Value | None:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _rounded_interval(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    high = None if interval.high is None else float(f"{interval.high:.{_DIGITS}g}")
    low = float(f"{interval.low:.{_DIGITS}g}")
    return interval.model_copy(update={"low": low, "high": high})


def write(results: Path, verdicts: Iterable[Verdict]) -> list[Path]:
    """verdicts/<page>/<claim>.json below `results`, each written whole."""
    paths = []
    for verdict in verdicts:
        path = results / "verdicts" / verdict.claim.page / f"{verdict.claim.id}.json"
        store.write_whole(path, store.to_json(verdict), sync=False)
        paths.append(path)
    return paths


def read(results: Path, claims: Iterable[Claim]) -> list[Verdict]:
    """The stored verdicts of `claims`, in their order. Raises BadFile where one is unreadable."""
    verdicts = []
    for claim in claims:
        path = results / "verdicts" / claim.page / f"{claim.id}.json"
        if not path.exists():
            raise BadFile(f"{path}: there is no verdict yet; run: harness judge")
        verdicts.append(read_file(path))
    return verdicts


def read_file(path: Path) -> Verdict:
    """One stored verdict. Raises BadFile."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise BadFile(f"{path}: {error.errors()[0]['msg']}") from error
    except ValueError as error:
        raise BadFile(f"{path}: no JSON: {error}") from error
