"""From claims to the fewest cells, with what each costs. Changes nothing."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness import home, prepare
from harness.ask import calls, prices
from harness.ask.calls import Call
from harness.ask.claims import Claim
from harness.ask.lengths import within
from harness.ask.models import Artifact, Model
from harness.ask.tasks import Task
from harness.errors import MissingError, NotEnough, UnknownName, UserError
from harness.metrics import LOOKED_UP
from harness.plan import estimate, served
from harness.plan.cells import Cell, cells_of, digest
from harness.prepare.data import need as data_need
from harness.run.devices import absent
from harness.run.endpoint import LOOPBACK
from harness.run.machine import physical_cores
from harness.run.protocol import Settings, Shape
from harness.run.runtimes import (
    HEADER_READER,
    RUNTIMES,
    installed,
    settings_for,
    takes_messages,
)
from harness.run.tasks import kind, libraries, why_alone
from harness.run.workloads import workload_of

_TASK_CONTEXT = 4096


@dataclass(frozen=True)
class Planned:
    """A cell with its settings and the number of samples the claims on it ask for.

    `problem` says why it can't run on this machine; it then stays out of the session.
    """

    cell: Cell
    n: int
    claims: tuple[str, ...]
    settings: Settings | None
    shape: Shape | None
    artifact: Artifact | None
    need: prepare.Need | None
    seconds: float
    memory_bytes: int | None
    problem: str | None = None
    data: prepare.Need | None = None
    """What the task's data cost."""
    slowest: float = 0.0
    """Seconds of a task's longest item; 0 where all samples of a cell are alike."""
    lasting: bool = True
    """Whether a finished run still speaks for the cell. Not where a server on this machine was
    asked: it may hold another model today."""


@dataclass
class Plan:
    """What a run would do. Bytes and seconds."""

    cells: list[Planned] = field(default_factory=list)

    @property
    def needs(self) -> dict[str, prepare.Need]:
        """What has to be prepared for the cells that can run, each once: artifacts, tasks' data."""
        found = {}
        for planned in self.cells:
            if planned.artifact and planned.need and not planned.problem:
                found[f"{planned.cell.model} {planned.artifact.quantisation}"] = planned.need
            if planned.data and not planned.problem:
                found[f"data of {planned.cell.task}"] = planned.data
        return found

    @property
    def seconds(self) -> float:
        """With the A/A control: one more arm of the quickest timed cell."""
        possible = [planned for planned in self.cells if not planned.problem]
        timed = [one.seconds for one in possible if one.cell.workload == "speed"]
        return sum(planned.seconds for planned in possible) + min(timed, default=0.0)


class Planner:
    """Knows the models, the tasks and what probes have shown of this machine."""

    def __init__(
        self,
        models: Mapping[str, Model],
        tasks: Mapping[str, Task],
        probes: Mapping[str, estimate.Probe],
    ) -> None:
        self._models, self._tasks, self._probes = models, tasks, probes
        self._cores = physical_cores()

    def plan(self, claims: list[Claim]) -> Plan:
        """The fewest cells that settle `claims`; a cell that two rules share takes the larger n.

        Raises UnknownName for a model, runtime or task that is in no registry, NotEnough where
        the disk can't hold what has to be prepared.
        """
        wanted: dict[Cell, tuple[int, list[str]]] = {}
        for claim in claims:
            for cell in cells_of(claim):
                n, ids = wanted.get(cell, (0, []))
                planned_n = claim.rule.n if claim.rule else 0
                wanted[cell] = (max(n, planned_n), [*ids, claim.id])
        plan = Plan([self.planned(cell, n, tuple(ids)) for cell, (n, ids) in wanted.items()])
        _check_disk(plan)
        return plan

    def planned(self, cell: Cell, n: int, claims: tuple[str, ...] = ()) -> Planned:
        """One cell with settings, shape and cost. Raises UnknownName."""
        if cell.workload in LOOKED_UP:
            return self._without_settings(cell, claims)
        if takes_messages(cell.runtime):
            return self._served(cell, n, claims)
        model, artifact = self._artifact(cell)
        need = prepare.need(model, artifact)
        at = probe_key(cell, model, artifact)
        dtype = RUNTIMES[str(cell.runtime)].options(0, artifact.quantisation).get("dtype")
        bits = estimate.weight_bits(artifact, dtype)
        probe = self._probes.get(at) or estimate.guess(model, bits)
        shape = estimate.shape_of(cell, probe, artifact)
        task = self._tasks.get(cell.task or "")
        context = _context(cell, task, shape, artifact.context)
        room = min(context, _window(model, artifact))
        settings = settings_for(
            str(cell.runtime), str(cell.device), self._cores, room, artifact.quantisation,
            model.need_geometry().architecture, cell.parallel,
        )  # fmt: skip
        memory = estimate.memory_bytes(model, artifact, room * (cell.parallel or 1), dtype)
        task = _held(task, n, settings.context) if task else None
        return Planned(
            cell,
            n,
            claims,
            settings,
            shape,
            artifact,
            need,
            n
            * estimate.sample_seconds(cell, probe, shape, task, estimate.picture_work(model, task)),
            memory,
            self._problem(cell, model, artifact, memory, context),
            data_need(task.source) if task else None,
            estimate.slowest_seconds(probe, task) if task else 0.0,
        )

    def _without_settings(self, cell: Cell, claims: tuple[str, ...]) -> Planned:
        """Facts come once; a real artifact's own header is read as well, but not for gigabytes."""
        artifact, need = None, None
        if cell.model:
            model = self._model(cell)
            formats = RUNTIMES[HEADER_READER].formats
            real = [
                one
                for one in model.artifacts
                if one.weights == "real" and one.source.kind != "hub" and one.format in formats
            ]
            artifact = real[0] if real and not _missing_runtime(HEADER_READER, "cpu") else None
            need = prepare.need(model, artifact) if artifact else None
        seconds = 20.0 if cell.workload == "calls" else 0.5
        return Planned(cell, 1, claims, None, None, artifact, need, seconds, None)

    def _served(self, cell: Cell, n: int, claims: tuple[str, ...]) -> Planned:
        """No artifact and no settings: what a server has and does is its own."""
        model = self._known(cell)
        task = self._tasks.get(cell.task or "")
        problem = _missing_runtime(str(cell.runtime), str(cell.device))
        problem = problem or served.problem(cell, model, self._tasks)
        return Planned(
            cell,
            n,
            claims,
            None,
            None,
            None,
            None,
            n * served.SECONDS,
            None,
            problem,
            data_need(task.source) if task else None,
            served.SLOWEST,
            lasting=bool(problem) or served.where(model) != LOOPBACK,
        )

    def _model(self, cell: Cell) -> Model:
        name = str(cell.model)
        if name not in self._models:
            raise UnknownName("model", name, self._models)
        return self._models[name]

    def _known(self, cell: Cell) -> Model:
        """The cell's model. Raises UnknownName for one of its names that is in no registry."""
        model = self._model(cell)
        if cell.runtime not in RUNTIMES:
            raise UnknownName("runtime", str(cell.runtime), RUNTIMES)
        if cell.device not in RUNTIMES[cell.runtime].devices:
            raise UnknownName("device", str(cell.device), RUNTIMES[cell.runtime].devices)
        if cell.task and cell.task not in self._tasks:
            raise UnknownName("task", cell.task, self._tasks)
        return model

    def _artifact(self, cell: Cell) -> tuple[Model, Artifact]:
        model = self._known(cell)
        if model.geometry is None:
            raise UserError(f"{model.id} is hosted: ask it with --runtime openai")
        formats = RUNTIMES[str(cell.runtime)].formats
        readable = any(one.format in formats for one in model.artifacts)
        return model, model.artifact(str(cell.quantisation), formats if readable else ())

    def _problem(
        self, cell: Cell, model: Model, artifact: Artifact, memory: int, context: int
    ) -> str | None:
        runtime, window = str(cell.runtime), _window(model, artifact)
        if artifact.format not in RUNTIMES[runtime].formats:
            return f"{runtime} does not read {artifact.format}"
        if missing := _missing_runtime(runtime, str(cell.device)):
            return missing
        if str(cell.device).startswith("npu:") and artifact.context is None:
            return f"{cell.device} needs graphs of fixed shapes; {_fixed(model)}"
        if context > window and (cell.context or not cell.task):
            limit = (
                "its graphs are made for" if artifact.context else f"the window of {model.id} is"
            )
            return f"{context} tokens asked for; {limit} {window}"
        if cell.unwatched:
            return cell.unwatched
        if cell.parallel and (reason := self._why_alone(cell)):
            return reason
        if cell.task and artifact.weights == "synthetic":
            return "synthetic weights say nothing of accuracy"
        there = estimate.memory_available()
        if cell.memory_limit is None and there is not None and memory > there:
            return str(NotEnough("memory", memory, there, "close programs or use a smaller model"))
        return absent(runtime, str(cell.device))

    def _why_alone(self, cell: Cell) -> str | None:
        """Why items can't be under way at once; None where they can."""
        if not RUNTIMES[str(cell.runtime)].parallel:
            able = ", ".join(name for name, entry in RUNTIMES.items() if entry.parallel)
            return f"{cell.runtime} answers one prompt at a time; {able} can do several"
        return why_alone(self._tasks[str(cell.task)])


def probe_key(cell: Cell, model: Model, artifact: Artifact) -> str:
    """By what a probe is known: a file's speed depends on the runtime and the device."""
    on = "" if cell.device == "cpu" else f" on {cell.device}"
    return f"{cell.runtime}{on} {prepare.identity(model, artifact)}"


def key(planned: Planned, models: Mapping[str, Model], tasks: Mapping[str, Task]) -> str:
    """The hash of everything that could change the cell's result on this machine."""
    cell, parts = planned.cell, []
    workload = workload_of(cell)
    by_server = takes_messages(cell.runtime)
    if by_server:
        parts.append(served.identity(models[str(cell.model)]))
    if planned.artifact and cell.model:
        parts.append(prepare.identity(models[cell.model], planned.artifact))
    if planned.artifact or by_server:
        runtime = RUNTIMES[cell.runtime or HEADER_READER]
        parts += [importlib.metadata.version(one) for one in runtime.needs(str(cell.device))]
    if cell.workload == "facts":
        parts.append(digest(models[str(cell.model)]))
    if cell.task:
        task = tasks[cell.task]
        parts += [task.version_hash(), str(kind(task.kind).VERSION)]
        parts += [f"{name} {version}" for name, version in libraries(task).items()]
    if cell.workload == "prices":
        parts.append(digest(prices.load()))
    if cell.workload == "calls":
        parts += [digest(calls.load()), digest(_versions(calls.load().values()))]
    if cell.page:
        parts.append(digest((home.root() / "pages" / f"{cell.page}.yaml").read_text("utf-8")))
    return digest(cell, planned.settings, planned.shape, workload.protocol, parts)


def _held(task: Task, n: int, context: int) -> Task:
    """The task as the context holds it. Raises UserError where that is fewer than `n` items."""
    held = within(task, context)
    if n > held.rows.available:
        there = f"has {held.rows.available} items for a context of {context} tokens"
        raise UserError(f"{task.name} {there}: {n} asked for")
    return held


def _window(model: Model, artifact: Artifact) -> int:
    return min(model.need_geometry().context, artifact.context or model.need_geometry().context)


def _fixed(model: Model) -> str:
    names = [one.quantisation for one in model.artifacts if one.context]
    return f"take {' or '.join(names)}" if names else f"{model.id} has none"


def _versions(found: Iterable[Call]) -> dict[str, str | None]:
    """Of each library that a call needs; null for one that is not here."""
    return {name: installed(name) for name in sorted({one for call in found for one in call.needs})}


def _context(cell: Cell, task: Task | None, shape: Shape | None, fixed: int | None) -> int:
    """What is asked for: the rule's length, or room for what is run, in steps of 256.

    Graphs that are made for so many tokens have no other length.
    """
    if cell.context or task:
        return cell.context or (task and task.context) or _TASK_CONTEXT
    tokens = shape.prompt_tokens + shape.new_tokens if shape else 0
    if fixed:
        return max(fixed, tokens)
    return max(2048, -(-tokens // 256) * 256)


def _missing_runtime(name: str, device: str) -> str | None:
    """What is for the device alone goes first: its extra brings the rest as well."""
    entry = RUNTIMES[name]
    for distribution, extra in reversed(entry.needs(device).items()):
        if installed(distribution) is None:
            what = name if extra == entry.extra else f"{name} on {device}"
            return str(MissingError(f"{what} is not here; pip install 'claimbench[{extra}]'"))
    return None


def _check_disk(plan: Plan) -> None:
    needed = sum(need.disk_bytes or 0 for need in plan.needs.values() if not need.present)
    folder = home.cache()
    while not folder.exists():
        folder = folder.parent
    there = shutil.disk_usage(folder).free
    if needed > there:
        advice = "free some, or name fewer pages or claims"
        raise NotEnough("disk", needed, there, advice)
