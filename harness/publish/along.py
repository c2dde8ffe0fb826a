"""Runs along a facet (a severity, a length) as what a template prints.

Of a cell's runs on one machine the newest stands here, if it is valid and has real weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.judge.curves import Curve, curves, halving_in_words
from harness.publish import dots, words
from harness.publish.dots import Dot, Dots
from harness.publish.figures import Table
from harness.run import store
from harness.run.records import Machine, Run


@dataclass(frozen=True)
class CurveView:
    """One curve: its table, the same drawn, and where it halves."""

    table: Table
    chart: Markup
    halving: str


@dataclass(frozen=True)
class RunView:
    """One run. `evidence`: the names of its records below results/ and in the site."""

    anchor: str
    task: str
    model: str
    conditions: list[tuple[str, str]]
    warnings: list[str]
    curves: list[CurveView]
    evidence: list[str]


def views(runs: Iterable[tuple[Path, Run]], machines: dict[str, Machine]) -> list[RunView]:
    """The runs that have curves, by task and model."""
    newest: dict[tuple[str, str], tuple[Path, Run]] = {}
    for folder, run in runs:
        real = run.artifact is not None and run.artifact.weights == "real"
        if run.cell.task and run.arm == "measured" and run.valid and real:
            newest[run.machine, run.cell.name] = folder, run  # runs come oldest first
    found: list[RunView] = []
    for machine, name in sorted(newest, key=lambda key: key[::-1]):
        folder, run = newest[machine, name]
        drawn = curves(store.read_samples(folder)) if store.has_facets(folder) else []
        if drawn:
            found.append(_view(f"run-{len(found) + 1}", folder, run, drawn, machines))
    return found


def _view(
    anchor: str, folder: Path, run: Run, drawn: list[Curve], machines: dict[str, Machine]
) -> RunView:
    machine = machines.get(run.machine)
    conditions = [
        ("Quantisation", run.cell.quantisation or ""),
        ("Runtime", f"{run.runtime.name} {run.runtime.version}" if run.runtime else ""),
        ("Machine", words.machine(machine) if machine else run.machine),
        ("Items", f"{run.samples - run.failed} of {run.planned}"),
        ("Measured", words.day(run.ended[:10])),
    ]
    return RunView(
        anchor=anchor,
        task=str(run.cell.task),
        model=str(run.cell.model),
        conditions=[(term, text) for term, text in conditions if text],
        warnings=run.warnings,
        curves=[_curve(one, f"{anchor}-{at}") for at, one in enumerate(drawn, 1)],
        evidence=[f"{run.machine}/{folder.name}/{name}" for name in ("run.json", "samples.jsonl")],
    )


def _curve(found: Curve, name: str) -> CurveView:
    title = f"Accuracy under {found.name}" if found.name else "Accuracy"
    half = found.steps[0].share.value / 2
    rows = tuple(
        (
            step.at,
            f"{step.share.value:.1%}",
            str(step.share.n),
            f"{step.share.low * 100:.1f} to {step.share.high:.1%}",
        )
        for step in found.steps
    )
    heads = (found.axis.capitalize(), "Accuracy", "n", "95% interval")
    drawing = Dots(
        title,
        f"Accuracy at {len(rows)} steps of {found.axis}: "
        + ", ".join(f"{row[0]}: {row[1]}" for row in rows)
        + ". The table beside this chart holds the intervals, too.",
        found.axis,
        tuple(Dot(one.at, one.share.value, one.share.low, one.share.high) for one in found.steps),
        (half, f"half of the first: {half:.1%}") if half else None,
    )
    return CurveView(Table(title, heads, rows), dots.draw(drawing, name), halving_in_words(found))
