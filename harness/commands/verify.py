"""Plan, prepare, run, judge and publish. What is on disk already is not run again."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from harness import home, prepare
from harness.commands import listing, progress
from harness.commands.context import Context, choice_arguments, chosen
from harness.errors import HarnessError, UnknownName, WorkerError
from harness.judge import judge
from harness.judge.verdicts import Verdict
from harness.plan import served
from harness.plan.planner import Plan, Planned, probe_key
from harness.publish.site import publish
from harness.run import probe, store
from harness.run.runtimes import takes_messages
from harness.run.session import Session

FAIL_ON = ("refuted", "inconclusive", "invalid")


def arguments(parser: argparse.ArgumentParser) -> None:
    choice_arguments(parser)
    parser.add_argument("--offline", action="store_true", help="fetch nothing")
    parser.add_argument("--json", action="store_true", help="verdicts as JSON")
    parser.add_argument(
        "--fail-on", action="append", default=[], help=f"exit 1 on: {', '.join(FAIL_ON)}"
    )


def run(options: argparse.Namespace) -> int:
    for name in options.fail_on:
        if name not in FAIL_ON:
            raise UnknownName("--fail-on", name, FAIL_ON)
    context = Context()
    claims = chosen(context, options)
    problems = ready(context, context.planner().plan(claims).cells, options.offline)
    plan = context.planner().plan(claims)
    session = Session(context.results, context.models, context.tasks, offline=options.offline)
    pending = session.pending(plan.cells)
    minutes = Plan(pending).seconds / 60
    progress.say(
        f"{len(claims)} claims, {len(plan.cells)} cells, about {minutes:.0f} minutes to run"
    )
    tell_cost(context, pending)
    with progress.progress(minutes * 60) as session.say:
        problems += session.run(plan.cells)
    for problem in dict.fromkeys(problems):
        progress.say(f"not run: {problem}")
    verdicts = judged(context)
    site = home.root() / "site"
    machines, runs = store.machines(context.results), store.runs(context.results)
    publish(context.pages, verdicts, machines, context.results, site, runs)
    wanted = {claim.id for claim in claims}
    _report([one for one in verdicts if one.claim.id in wanted], options.json, site)
    return _status(verdicts, wanted, options.fail_on)


def ready(context: Context, cells: list[Planned], offline: bool) -> list[str]:
    """Prepares and probes, each once, the artifacts that runs are pending for; returns what failed.

    No others: what is finished stays so, whether or not its probe was disturbed.
    """
    problems = []
    results = context.results
    session = Session(results, context.models, context.tasks, offline=offline)
    for planned in _artifacts(session.pending(cells)):
        model = context.models[str(planned.cell.model)]
        artifact = planned.artifact
        if artifact is None:
            continue
        name = f"{model.name} {artifact.quantisation}"
        if planned.need and not planned.need.present:
            progress.say(f"preparing {name} ({artifact.source.kind})")
        try:
            prepared = prepare.prepare(model, artifact, offline=offline, progress=progress.steps())
        except HarnessError as error:
            problems.append(f"{name}: {error}")
            continue
        runtime = str(planned.cell.runtime)
        at = probe_key(planned.cell, model, artifact)
        known = probe.load(results).get(at)
        if planned.settings and not (known and known.quiet):
            progress.say(f"trying how fast {name} is here on {runtime}")
            try:
                probe.probe(planned, prepared.path, at, results)
            except WorkerError as error:
                problems.append(f"{name}: does not run on {runtime}: {error}")
    return problems


def tell_cost(context: Context, pending: list[Planned]) -> None:
    """Before anything is sent to a server that may send a bill."""
    for planned in pending:
        if takes_messages(planned.cell.runtime):
            model, task = context.models[str(planned.cell.model)], str(planned.cell.task)
            cost = served.cost(model, context.tasks[task], planned.n)
            progress.say(f"asking {served.where(model)} for {model.name}: {cost}")


def _artifacts(cells: list[Planned]) -> list[Planned]:
    """One planned cell per artifact, runtime and device; what is read for its header comes last."""
    found: dict[tuple[str | None, ...], Planned] = {}
    for planned in sorted(cells, key=lambda one: one.settings is None):
        if planned.artifact and not planned.problem:
            artifact = planned.artifact
            made = (planned.cell.model, artifact.format, artifact.quantisation)
            found.setdefault((*made, planned.cell.runtime, planned.cell.device), planned)
    return list(found.values())


def judged(context: Context) -> list[Verdict]:
    """All verdicts from the stored runs, written below results/verdicts."""
    verdicts = judge.judge(context.results, context.claims.values(), context.models, context.tasks)
    judge.write(context.results, verdicts)
    return verdicts


def _report(verdicts: list[Verdict], as_json: bool, site: Path) -> None:
    if as_json:
        listing.as_json([verdict.model_dump(mode="json") for verdict in verdicts])
    else:
        rows = [(one.claim.id, one.outcome, one.reason[:90]) for one in verdicts]
        listing.table(("claim", "verdict", "because"), rows)
    counts = Counter(verdict.outcome for verdict in verdicts)
    progress.say(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    progress.say(f"page: {site / 'index.html'}")


def _status(verdicts: list[Verdict], wanted: set[str], fail_on: list[str]) -> int:
    for verdict in verdicts:
        invalid = any(
            gate.passed is False for finding in verdict.findings for gate in finding.gates
        )
        hit = verdict.outcome in fail_on or ("invalid" in fail_on and invalid)
        if verdict.claim.id in wanted and hit:
            return 1
    return 0
