"""Repeats the evidence of a verdict on this machine: reproduced, differs, or not comparable.

The runs lie in results/reproductions/, apart from the evidence, so that they change no verdict; the
answer lies beside the verdict, in a file per machine. Status 1 where it differs.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
from dataclasses import replace
from pathlib import Path

from harness.commands import listing, progress
from harness.commands.context import Context
from harness.errors import BadFile, MissingError, UserError
from harness.judge import judge, reproductions
from harness.judge.reproductions import Answer, Original, Reproduction
from harness.judge.verdicts import Finding, Verdict
from harness.metrics import METRICS
from harness.plan.planner import Planned, Planner
from harness.run import store
from harness.run.runtimes import RUNTIMES
from harness.run.session import Session


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verdict", type=Path, metavar="VERDICT.json")
    parser.add_argument("--machine", help="whose finding, where there are several; else the latest")
    parser.add_argument("--offline", action="store_true", help="fetch nothing")
    parser.add_argument("--json", action="store_true", help="the reproduction record")


def run(options: argparse.Namespace) -> int:
    path = options.verdict.resolve()
    verdict = judge.read_file(path)
    if len(path.parents) < 3 or path.parents[1].name != "verdicts":
        raise BadFile(f"{path}: a verdict with evidence lies in results/verdicts/PAGE/CLAIM.json")
    found = _reproduce(Context(), path, verdict, _there(verdict, options.machine), options.offline)
    folder = reproductions.place(path.parents[2], found.page, found.claim)
    store.write_whole(folder / f"{found.machine.id}.json", store.to_json(found))
    if options.json:
        listing.as_json(found.model_dump(mode="json"))
    else:
        _tell(verdict, found)
        print(f"record: {folder / found.machine.id}.json")
    return 1 if found.answer == "differs" else 0


def _there(verdict: Verdict, machine: str | None) -> Finding:
    findings = [one for one in verdict.findings if machine in (None, one.machine)]
    if not findings:
        who = f"of machine '{machine}'" if machine else "of any machine"
        raise UserError(
            f"{verdict.claim.id}: no evidence {who} to repeat; the verdict is {verdict.outcome}"
        )
    return max(findings, key=lambda one: one.measured or "")


def _reproduce(
    context: Context, path: Path, verdict: Verdict, there: Finding, offline: bool
) -> Reproduction:
    results = path.parents[2]
    session = Session(
        results / "reproductions",
        context.models,
        context.tasks,
        offline=offline,
        enrolled=context.results,
    )
    reasons = _other_build(there)
    here = None if reasons else _here(context, session, results, verdict, there)
    answer: Answer = "not_comparable"
    difference = None
    if here and verdict.rule:
        answer, reasons, difference = reproductions.answered(verdict.rule, there, here)
    return Reproduction(
        page=verdict.claim.page,
        claim=verdict.claim.id,
        of=Original(
            verdict_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            machine=there.machine,
            outcome=there.outcome,
            estimate=there.estimate,
            interval=there.interval,
            n=there.n,
        ),
        machine=session.machine,
        answer=answer,
        reasons=reasons,
        difference=difference,
        finding=here,
    )


def _other_build(there: Finding) -> list[str]:
    """Before anything is fetched or run: whether the same build of the runtime is here."""
    if there.runtime is None or there.runtime.name not in RUNTIMES:
        return []
    entry = RUNTIMES[there.runtime.name]
    try:
        version = importlib.metadata.version(entry.own)
    except importlib.metadata.PackageNotFoundError as error:
        wanted = f"{there.runtime.name} {there.runtime.version}"
        raise MissingError(
            f"{wanted} is not here; pip install 'claimbench[{entry.extra}]'"
        ) from error
    if version == there.runtime.version:
        return []
    return [f"runtime: {there.runtime.name} {there.runtime.version} there, {version} here"]


def _here(
    context: Context, session: Session, results: Path, verdict: Verdict, there: Finding
) -> Finding:
    """The finding of the same cells on this machine. Raises MissingError where one did not run."""
    planned = _planned(context.planner(), results, verdict, there)
    with progress.progress(sum(one.seconds for one in planned)) as session.say:
        problems = session.run(planned)
    if problems:
        raise MissingError("; ".join(problems))
    (again,) = judge.judge(session.results, [verdict.claim], context.models, context.tasks)
    mine = [one for one in again.findings if one.machine in (None, session.machine.id)]
    if not mine:
        raise MissingError(f"{verdict.claim.id}: the runs here are incomplete; repeat the command")
    evidence = [
        one.model_copy(update={"path": f"{session.results.name}/{one.path}"})
        for one in mine[0].evidence
    ]
    return mine[0].model_copy(update={"evidence": evidence})


def _planned(planner: Planner, results: Path, verdict: Verdict, there: Finding) -> list[Planned]:
    """The cells of the evidence, in its shape and settings, with as many threads as suit here."""
    found = []
    n = verdict.rule.n if verdict.rule else 0  # a finding counts fewer where the rule has facets
    folders = dict.fromkeys((results / one.path).parent for one in there.evidence)
    for run in (store.read_run(folder) for folder in folders):
        one = planner.planned(run.cell, n, (verdict.claim.id,))
        settings = one.settings
        if settings and run.settings:
            settings = replace(run.settings, threads=settings.threads)
        found.append(replace(one, settings=settings, shape=run.shape))
    return found


def _tell(verdict: Verdict, found: Reproduction) -> None:
    print(found.answer.replace("_", " "))
    for reason in found.reasons:
        print(f"  {reason}")
    if found.finding and verdict.rule:
        show = METRICS[verdict.rule.metric].show
        for where, value in (("there", found.of.estimate), ("here", found.finding.estimate)):
            print(f"  {where}: {'no figure' if value is None else show(value)}")
    if found.difference:
        one = found.difference
        span = one.interval
        ends = (
            f", {span.low:.4f} to {span.high:.4f} ({span.level:.0%})" if span and span.level else ""
        )
        print(f"  {one.kind} here to there: {one.value:.4f}{ends}")
