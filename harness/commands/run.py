"""Measure one cell, whatever claim it may belong to; prints what was measured."""

from __future__ import annotations

import argparse

from harness.ask import models
from harness.ask.claims import parse_bytes
from harness.ask.models import SERVED
from harness.commands import listing, progress
from harness.commands.context import Context
from harness.commands.verify import ready, tell_cost
from harness.errors import MissingError, UnknownName, UserError
from harness.judge.summary import summary
from harness.plan.cells import Cell
from harness.run import store
from harness.run.runtimes import RUNTIMES, takes_messages
from harness.run.session import Session

WORKLOADS = ("speed", "load", "memory")
_MEMORY_CONTEXT = 2048


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True)
    parser.add_argument("--runtime", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--task")
    what.add_argument("--workload", help=", ".join(WORKLOADS))
    parser.add_argument("--quantisation", help="default: the first that the runtime reads")
    parser.add_argument("--limit", type=int, default=5, help="samples, or items of a task")
    parser.add_argument(
        "--until-width",
        type=float,
        metavar="SHARE",
        help="end a task once what its answers are worth is known within an interval so wide, "
        "e.g. 0.1: to explore, for no verdict uses such a run",
    )
    parser.add_argument("--device", help="default: the first of the runtime's, mostly cpu")
    parser.add_argument(
        "--context", type=int, help="tokens; default 2048 for memory, 4096 for a task"
    )
    parser.add_argument(
        "--parallel",
        type=int,
        default=1,
        metavar="N",
        help="items of a task under way at once, each with a context of its own; answers "
        "may differ from those of one at a time, by which claims are judged",
    )
    parser.add_argument("--memory-limit", metavar="SIZE", help="cap on the worker, e.g. 4GiB")
    parser.add_argument("--offline", action="store_true", help="fetch nothing")


def run(options: argparse.Namespace) -> int:
    context = Context()
    cell = _cell(context, options)
    plan = [context.planner().planned(cell, options.limit)]
    problems = ready(context, plan, options.offline)
    plan = [context.planner().planned(cell, options.limit)]
    session = Session(
        context.results,
        context.models,
        context.tasks,
        offline=options.offline,
        until_width=_width(options),
    )
    tell_cost(context, session.pending(plan))
    with progress.progress(plan[0].seconds) as session.say:
        problems += session.run(plan)
    if problems:
        raise MissingError("; ".join(problems))
    mine = [
        (folder, one)
        for folder, one in store.runs(context.results)
        if one.cell == cell and one.machine == session.machine.id and one.arm == "measured"
    ]
    folder, last = max(mine, key=lambda pair: pair[1].started)
    listing.table(
        ("metric", "value", "interval or note"), summary(last, store.read_samples(folder))
    )
    for warning in last.warnings:
        print(f"doubtful: {warning}")
    for gate in last.gates:
        if gate.passed is False:
            print(f"invalid: {gate.name}: {gate.detail}")
        elif gate.passed is None and last.endpoint:
            print(f"not known: {gate.name}: {gate.detail}")
    print(f"record: results/{last.machine}/{last.id}/")
    return 0


def _width(options: argparse.Namespace) -> float | None:
    width: float | None = options.until_width
    if width is not None and not (options.task and 0 < width < 1):
        raise UserError(f"--until-width {width}: of a task, and between 0 and 1")
    return width


def _parallel(options: argparse.Namespace) -> int | None:
    most: int = options.parallel
    if most < 1 or (most > 1 and not options.task):
        raise UserError(f"--parallel {most}: of a task, and at least 1")
    if most > 1 and options.until_width is not None:
        # Short answers end first: of those that have ended, too many would be short.
        raise UserError("--until-width looks at items in their order: leave out --parallel")
    return most if most > 1 else None


def _first(model: models.Model, runtime: str, device: str) -> str:
    """The quantisation of the first artifact that the runtime reads, or of the first there is.

    Fixed shapes are what NPUs need and nobody else asks for.
    """
    if takes_messages(runtime):
        return SERVED
    formats = RUNTIMES[runtime].formats if runtime in RUNTIMES else ()
    readable = [one for one in model.artifacts if one.format in formats]
    fitting = [one for one in readable if bool(one.context) == device.startswith("npu:")]
    return (fitting or readable or model.artifacts)[0].quantisation


def _cell(context: Context, options: argparse.Namespace) -> Cell:
    if options.limit < 1:
        raise UserError(f"--limit {options.limit}: at least one sample")
    if options.context is not None and (options.workload in ("speed", "load")):
        raise UserError("--context is for memory and tasks: speed and load take what they need")
    if options.workload and options.workload not in WORKLOADS:
        raise UnknownName("workload", options.workload, WORKLOADS)
    limit = parse_bytes(options.memory_limit) if options.memory_limit else None
    if limit is not None and not isinstance(limit, int):
        raise UserError(f"--memory-limit {options.memory_limit}: write it like 4GiB or 512MiB")
    model = models.find(context.models, options.model)
    workload, known = options.workload, RUNTIMES.get(options.runtime)
    device = options.device or (known.devices[0] if known else "cpu")
    return Cell(
        workload=workload,
        task=options.task,
        model=model.id,
        quantisation=options.quantisation or _first(model, options.runtime, device),
        runtime=options.runtime,
        device=device,
        context=options.context or (_MEMORY_CONTEXT if workload == "memory" else None),
        memory_limit=limit,
        page_cache="cold" if workload == "load" else None,
        parallel=_parallel(options),
    )
