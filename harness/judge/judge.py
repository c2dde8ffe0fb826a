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
from harness.judge import estimates, other_rules
from harness.judge.effort import told
from harness.judge.estimates import Reading
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
from harness.metrics import LOOKED_UP, METRICS
from harness.plan.cells import Cell, cells_of
from harness.run import store
from harness.run.records import FactsData, Run, Sample
from harness.run.values import emulated

ALPHA = 1 - statistics.LEVEL
_DIGITS = 9
"""Significant digits kept of every computed number: below them processors may differ."""


@dataclass(frozen=True)
class Stored:
    """A finished run and where it lies."""

    folder: Path
    run: Run


@dataclass(frozen=True)
class Case:
    """A claim before one machine's evidence."""

    claim: Claim
    rule: Rule
    machine: str | None
    runs: tuple[Stored, ...]
    reading: Reading
    failed: int
    problem: str | None
    """Why the evidence does not count: a failed gate, too few samples, arms of two sessions."""
    flips: tuple[str, ...]
    """Other rules of scoring under which the reading would decide otherwise."""


def judge(
    results: Path,
    claims: Iterable[Claim],
    models: Mapping[str, Model],
    tasks: Mapping[str, Task] | None = None,
) -> list[Verdict]:
    """One verdict per claim, in the order of the claims. Raises BadFile for a damaged record."""
    stored = [Stored(folder, run) for folder, run in store.runs(results) if run.arm == "measured"]
    samples = _Samples()
    claims = list(claims)
    cases = _adjusted([case for claim in claims for case in _cases(claim, stored, samples)])
    return [
        _verdict(results, claim, [case for case in cases if case.claim is claim], models, tasks)
        for claim in claims
    ]


class _Samples:
    """Samples by run, read once."""

    def __init__(self) -> None:
        self._read: dict[Path, list[Sample]] = {}

    def of(self, stored: Stored) -> list[Sample]:
        if stored.folder not in self._read:
            self._read[stored.folder] = store.read_samples(stored.folder)
        return self._read[stored.folder]


def _cases(claim: Claim, stored: Sequence[Stored], samples: _Samples) -> list[Case]:
    """One case per machine that ran all the claim's cells; facts need one machine only."""
    if claim.rule is None:
        return []
    cells = cells_of(claim)
    if METRICS[claim.rule.metric].comes_from in LOOKED_UP:
        # True on any machine: the newest run speaks, wherever it was made.
        newest = _latest(_telling(stored, claim.rule, samples), cells[0], claim.rule)
        return [_case(claim, claim.rule, None, (newest,), samples)] if newest else []
    found = []
    for machine in sorted({one.run.machine for one in stored}):
        mine = [one for one in stored if one.run.machine == machine]
        runs = _runs(mine, cells, claim.rule)
        if runs:
            found.append(_case(claim, claim.rule, machine, runs, samples))
    return found


def _telling(stored: Sequence[Stored], rule: Rule, samples: _Samples) -> Sequence[Stored]:
    """Of a call the runs that tried it: where its library is missing, nothing was."""
    if rule.conditions.call is None:
        return stored
    name = estimates.fact_name(rule)
    tried = [one for one in stored if one.run.cell.workload == "calls"]
    return [
        one
        for one in tried
        if any(
            fact.name == name
            for sample in samples.of(one)
            if isinstance(sample.data, FactsData)
            for fact in sample.data.facts
        )
    ] or tried


def _runs(stored: Sequence[Stored], cells: Sequence[Cell], rule: Rule) -> tuple[Stored, ...]:
    """A run per cell, none where one is missing; of a pair the newest session that is good."""
    pools = [stored]
    if _is_paired(rule):
        sessions = sorted({one.run.session for one in stored})
        pools += [[one for one in stored if one.run.session == session] for session in sessions]
    found = [[_latest(pool, cell, rule) for cell in cells] for pool in pools]
    choices = [tuple(run for run in runs if run) for runs in found if None not in runs]
    return max(
        choices,
        key=lambda runs: (_problem(rule, runs) is None, max(one.run.started for one in runs)),
        default=(),
    )


def _is_paired(rule: Rule) -> bool:
    return METRICS[rule.metric].statistic == "paired"


def _latest(stored: Sequence[Stored], cell: Cell, rule: Rule) -> Stored | None:
    """The newest run of a cell; a valid one before any invalid one, a complete before a short."""
    same = [one for one in stored if one.run.cell == cell]
    return max(
        same,
        key=lambda one: (
            one.run.valid,
            one.run.samples >= rule.n,
            one.run.started,
            one.run.id,
        ),
        default=None,
    )


def _case(
    claim: Claim, rule: Rule, machine: str | None, runs: tuple[Stored, ...], samples: _Samples
) -> Case:
    cells = [(one.run.cell, _planned(samples.of(one), rule)) for one in runs]
    reading = estimates.read(claim, rule, cells)
    failed = sum(_failed(samples.of(one), rule) for one in runs)
    problem = _problem(rule, runs) or _played(rule, [samples.of(one) for one in runs])
    flips = other_rules.flips(claim, rule, cells, reading)
    return Case(claim, rule, machine, runs, reading, failed, problem, flips)


def _failed(samples: Sequence[Sample], rule: Rule) -> int:
    """Samples without data; where the rule asks what fits, running out of memory is an answer."""
    bracket = METRICS[rule.metric].statistic == "bracket"
    causes = [sample.cause for sample in samples if sample.cause]
    return sum(1 for cause in causes if not (bracket and cause == "out_of_memory"))


def _planned(samples: list[Sample], rule: Rule) -> list[Sample]:
    """The planned n and no more: a shared cell may hold samples that another rule asked for.

    All of them where the rule speaks of every process, and n is no matter of chance.
    """
    every = METRICS[rule.metric].statistic in ("bracket", "exact", "bounds")
    return samples if every else samples[: rule.n]


def _problem(rule: Rule, runs: Sequence[Stored]) -> str | None:
    for run in (one.run for one in runs):
        failed = [gate for gate in run.gates if gate.passed is False]
        if failed:
            return f"the run is invalid: gate '{failed[0].name}' failed ({failed[0].detail})"
        weights = run.artifact.weights if run.artifact else None
        if METRICS[rule.metric].comes_from is None and weights == "synthetic":
            return "synthetic weights say nothing of accuracy"
        if run.settings and run.cell.context not in (None, run.settings.context):
            return f"asked for a context of {run.cell.context}, run at {run.settings.context}"
        if run.samples < rule.n and METRICS[rule.metric].comes_from not in LOOKED_UP:
            return f"{run.samples} samples of the {rule.n} planned"
    return _apart(rule, [one.run for one in runs])


def _played(rule: Rule, samples: Iterable[Sequence[Sample]]) -> str | None:
    """An emulator gives a device's answers, at the speed and in the memory of another one."""
    if METRICS[rule.metric].comes_from is None or not any(map(emulated, samples)):
        return None
    return "an emulated device says nothing of speed or memory"


def _apart(rule: Rule, runs: Sequence[Run]) -> str | None:
    """Why runs of several cells can't be read together; None where they can."""
    if _is_paired(rule):
        # Sessions of the same cells share a name: what took turns also overlaps in time.
        turns = max(run.started for run in runs) <= min(run.ended for run in runs)
        together = turns and len({run.session for run in runs}) == 1
        return None if together else "the two models were not timed in one session"
    builds = {
        (run.runtime and run.runtime.version, run.artifact and run.artifact.sha256) for run in runs
    }
    return "the runs are of different runtime versions or artifacts" if len(builds) > 1 else None


def _adjusted(cases: list[Case]) -> list[Case]:
    """Holm over the statistical claims of one page on one machine: many claims, one 5%."""
    families: dict[tuple[str, str | None], list[int]] = {}
    for at, case in enumerate(cases):
        if case.reading.p_value is not None and case.problem is None:
            families.setdefault((case.claim.page, case.machine), []).append(at)
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
    outcome, reason = _together(claim, findings, told(claim, models, tasks or {}))
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


def _together(claim: Claim, findings: list[Finding], effort: str) -> tuple[Outcome, str]:
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
    runs, reading, last = [one.run for one in case.runs], case.reading, case.runs[-1].run
    outcome: Literal["supported", "refuted", "inconclusive"] = "inconclusive"
    p = None if case.problem else reading.p_value  # only counted evidence was adjusted
    if case.problem is None and reading.holds is not None:
        outcome = "supported" if reading.holds else "refuted"
    artifacts = [run.artifact for run in runs if run.artifact]
    synthetic = any(artifact.weights == "synthetic" for artifact in artifacts)
    return Finding(
        machine=case.machine,
        outcome=outcome,
        reason=case.problem or reading.reason,
        estimate=_rounded(reading.estimate),
        interval=_rounded_interval(reading.interval),
        n=reading.n,
        planned=case.rule.n,
        failed=case.failed,
        p_value=None if p is None else float(f"{p:.3g}"),
        weights=("synthetic" if synthetic else "real") if artifacts else None,
        runtime=last.runtime,
        settings=last.settings,
        shape=last.shape,
        artifact_sha256=sorted({artifact.sha256 for artifact in artifacts}),
        gates=[gate for run in runs for gate in run.gates],
        warnings=[*(warning for run in runs for warning in run.warnings), *case.flips],
        series=[
            point.model_copy(update={"value": _rounded(point.value)}) for point in reading.series
        ],
        measured=max(run.ended for run in runs)[:10],
        evidence=[
            evidence
            for one in case.runs
            for evidence in (_evidence(results, one.folder / name) for name in _FILES)
        ],
    )


_FILES = ("run.json", "samples.jsonl")


def _evidence(results: Path, path: Path) -> Evidence:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Evidence(path=path.relative_to(results).as_posix(), sha256=digest)


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
        store.write_whole(path, store.to_json(verdict))
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
