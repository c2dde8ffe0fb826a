"""Small sessions of cells on a model that is written in a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fakes
from workers import SETTINGS, TINY

from harness.ask import tasks
from harness.ask.models import Artifact, Geometry, Model, SyntheticSource
from harness.plan.cells import Cell
from harness.plan.planner import Planned, Planner
from harness.run import store
from harness.run.records import Run, Sample
from harness.run.runtimes import Entry
from harness.run.session import Session

ENTRIES = {
    fake.__name__: Entry(
        f"fakes:{fake.__name__}", ("pytest",), "test", ("cpu",), ("gguf",), lambda *_: {}
    )
    for fake in fakes.RUNTIMES
}
TASK = "bfcl_simple_python"
GEOMETRY = {
    "architecture": "llama",
    "hidden": 64,
    "layers": 2,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 32,
    "ffn": 128,
    "vocabulary": 1000,
    "context": 4096,
    "rope_theta": 10000,
    "tied": True,
}


def tiny(seed: int = 1, **geometry: object) -> Model:
    source = SyntheticSource(kind="synthetic", seed=seed)
    return Model(
        id="tiny",
        name="Tiny",
        checkpoint="nobody/tiny",
        facts={},
        geometry=Geometry.model_validate(GEOMETRY | geometry),
        artifacts=[Artifact(format="gguf", quantisation="Q4_0", source=source)],
    )


def session(results: Path, said: list[str] | None = None, model: Model | None = None) -> Session:
    heard = said if said is not None else []
    return Session(
        results,
        {"tiny": model or tiny()},
        tasks.load(),
        lambda text, seconds: heard.append(text),
        offline=True,
    )


def cell(workload: str, runtime: str, **changes: object) -> Cell:
    """A workload's or, where there is none of that name, a task's."""
    base: dict[str, object] = {
        "model": "tiny",
        "quantisation": "Q4_0",
        "runtime": runtime,
        "device": "cpu",
    }
    base |= {"task": workload} if workload == TASK else {"workload": workload}
    if workload == "load":
        base["page_cache"] = "warm"
    return Cell.model_validate(base | changes)


def planned(one: Session, *cells: tuple[Cell, int]) -> list[Planned]:
    """Shapes and settings as small as they get. The fake may answer a task: nothing is judged."""
    planner = Planner(one.models, one.tasks, {})
    found = []
    for wanted, n in cells:
        plan = planner.planned(wanted, n)
        shape = TINY if plan.shape else None
        found.append(replace(plan, settings=SETTINGS, shape=shape, problem=None, seconds=float(n)))
    return found


def runs(results: Path) -> dict[str, Run]:
    """Finished runs by the runtime of their cell, with the workload where it matters."""
    found = {}
    for _, run in store.runs(results):
        what = run.cell.task or run.cell.workload
        found[f"{what} {run.cell.runtime}{' control' if run.arm == 'control' else ''}"] = run
    return found


def samples(results: Path, run: Run) -> list[Sample]:
    return store.read_samples(results / run.machine / run.id)
