"""One session: cells that take turns, an A/A control among them, and everything else in a row.

Order is interleaved and turns around after each round (A B, B A, ..), so that drift of the machine
falls on all alike. A sample that is on disk is never run again: the same session goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import lock
from harness.ask.models import Model
from harness.ask.tasks import Task
from harness.errors import HarnessError, MissingError, WorkerError
from harness.plan.cells import digest
from harness.plan.planner import Planned, key
from harness.run import gates, noise, store
from harness.run.job import Job, make, now, record, takes_turns
from harness.run.limit import cap
from harness.run.machine import describe, scrub
from harness.run.manager import Worker
from harness.run.records import Machine, Run, Sample
from harness.run.workloads import WORKLOADS

Say = Callable[[str, float], None]
"""Told after each sample: what it was, and how many of the planned seconds it settles."""
_DETAIL_CHARACTERS = 400


@dataclass
class Session:
    """Runs planned cells on this machine into `results`. `say` hears of progress."""

    results: Path
    models: Mapping[str, Model]
    tasks: Mapping[str, Task]
    say: Say = lambda text, seconds: None
    offline: bool = False
    until_width: float | None = None
    """As `Job.until_width`, for every task of the session."""
    enrolled: Path | None = None
    """Where this machine has its id, if not in `results`."""
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        self.machine = describe(self.enrolled or self.results)
        self._folder = self.results / self.machine.id
        store.write_machine(self.results, self.machine)

    def pending(self, planned: list[Planned]) -> list[Planned]:
        """What can run here and is not on disk yet as a valid run of this machine.

        Timed cells of one claim are compared with each other: they share a session or run again.
        """
        able = [one for one in planned if not one.problem]
        runs = [run for _, run in store.runs(self.results) if run.machine == self.machine.id]
        sessions = [self._sessions(one, runs) for one in able]
        again = {at for at, found in enumerate(sessions) if not found}
        for claim in {name for one in able for name in one.claims}:
            pair = [at for at, one in enumerate(able) if claim in one.claims and takes_turns(one)]
            if len(pair) > 1 and not set.intersection(*(sessions[at] for at in pair)):
                again.update(pair)
        return [able[at] for at in sorted(again)]

    def _sessions(self, planned: Planned, runs: Sequence[Run]) -> set[str]:
        """The sessions of this machine's `runs` that ran the cell whole and validly."""
        if not planned.lasting:
            return set()
        name = key(planned, self.models, self.tasks)
        return {
            run.session
            for run in runs
            if run.key == name and run.samples >= planned.n and run.valid and run.arm == "measured"
        }

    def run(self, planned: list[Planned]) -> list[str]:
        """Runs what is pending; returns what could not be run, with the reason.

        A cell that fails ends as a run with failed samples; the others go on. Of two sessions on
        this machine's records one waits: they would write one journal and disturb each other.
        """
        waiting = "waiting for another harness that measures here"
        with lock.held(self._folder / ".lock", lambda: self.say(waiting, 0.0)):
            return self._run(planned)

    def _run(self, planned: list[Planned]) -> list[str]:
        problems = [f"{one.cell.name}: {one.problem}" for one in planned if one.problem]
        jobs: list[Job] = []
        for one in self.pending(planned):
            try:
                job = make(one, self.models, self.tasks, self._folder, self.offline)
                jobs.append(replace(job, until_width=self.until_width))
            except HarnessError as error:
                problems.append(f"{one.cell.name}: {error}")
        turns = [job for job in jobs if takes_turns(job.planned)]
        control = self._control(turns)
        self._take_turns([*turns, *control])
        for job in (job for job in jobs if not takes_turns(job.planned)):
            try:
                self._complete(job)
            except MissingError as error:
                problems.append(f"{job.planned.cell.name}: {error}")
            self._finish([job], [])
        self._finish_turns(turns, control)
        return problems

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
        again: set[str] = set()
        while job.missing:
            before = len(job.journal.samples), len(again)
            self._items(job, again) if job.request.task else self._sample(job)
            if (len(job.journal.samples), len(again)) == before:
                break

    def _sample(self, job: Job) -> None:
        """One worker, one sample on disk, however the worker ends."""
        cell, limit = job.planned.cell, job.planned.cell.memory_limit
        watched = WORKLOADS[str(cell.workload)].watched
        worker = Worker(job.request, job.silence, watched, cap(limit) if limit else None)
        began, before, start = now(), noise.read(), time.monotonic()
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

    def _items(self, job: Job, again: set[str]) -> None:
        """The items that are missing, in one worker.

        Those in `again` were under way when a worker ended: one that ends another is recorded.
        """
        before = len(job.journal.samples)
        done = tuple(sample.item for sample in job.journal.samples if sample.item is not None)
        limit = job.planned.cell.memory_limit
        request = replace(job.request, skip=done, alone=tuple(sorted(again)))
        capped = cap(limit) if limit else None
        worker = Worker(request, job.silence, cap=capped)
        keep = partial(self._keep_item, job, capped.record() if capped else None, again)
        under_way: list[str] = []
        first: dict[str, Any] = {}
        began, start = now(), time.monotonic()
        try:
            with contextlib.closing(worker.events()) as events:
                for event in events:
                    if event["event"] == "applied":
                        first = {name: event[name] for name in ("applied", "template_sha256")}
                        start = time.monotonic()
                    elif event["event"] == "item":
                        under_way.append(event["item"])
                    elif event["event"] == "refused":
                        cause = WorkerError("bad_item", scrub(event["detail"])[:_DETAIL_CHARACTERS])
                        under_way.remove(event["item"])
                        keep(event["item"], began, start, None, cause)
                        began, start = now(), time.monotonic()
                    else:
                        under_way.remove(event["data"]["item"])
                        keep(event["data"]["item"], began, start, event["data"] | first, None)
                        began, start, first = now(), time.monotonic(), {}
                    if job.seen_enough:
                        break
        except WorkerError as error:
            if set(under_way) - again:
                self._ask_again(job, under_way, again, error)
            # Between two items nothing is lost; before the first one it would die for ever.
            elif under_way or len(job.journal.samples) == before:
                keep(under_way[0] if under_way else None, began, start, None, error)

    def _ask_again(
        self, job: Job, under_way: Sequence[str], again: set[str], error: WorkerError
    ) -> None:
        """Once more; of several one by one, for which of them ended the worker can't be told."""
        again.update(under_way)
        asked = ", ".join(under_way)
        self.say(f"{job.planned.cell.name}: {asked} {error.cause}, asked again", 0.0)

    def _keep_item(
        self,
        job: Job,
        limit: dict[str, Any] | None,
        again: set[str],
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
            "tries": 2 if item in again else 1,
            "started": began,
            "seconds": time.monotonic() - start,
            "cause": error.cause if error else None,
            "detail": error.detail if error else "",
            "limit": limit,
            "data": data,
        }
        self._keep(job, sample)

    def _keep(self, job: Job, sample: dict[str, Any]) -> None:
        """Puts a sample on disk. Data that breaks its own record's rules are a cause, not data."""
        try:
            whole = Sample.model_validate(sample)
        except ValidationError as error:
            wrong = f"the answer breaks the record at {error.errors()[0]['loc']}"
            whole = Sample.model_validate(
                sample | {"cause": "refused", "detail": wrong, "data": None}
            )
        job.keep(whole)
        self._report(job)

    def _report(self, job: Job) -> None:
        done, n = len(job.journal.samples), job.planned.n
        last = job.journal.samples[-1]
        arm = " (A/A control)" if job.arm == "control" else ""
        words = [last.cause or "", job.so_far.told(n) if job.request.task else ""]
        told = ", ".join(word for word in words if word)
        self.say(
            f"{job.planned.cell.name}{arm} {done}/{n}{told and f': {told}'}",
            job.planned.seconds / n,
        )

    def _finish_turns(self, turns: list[Job], control: list[Job]) -> None:
        extra = []
        if control:
            measured = next(job for job in turns if digest(job.key, "control") == control[0].key)
            extra = [gates.control_gate(measured.journal.samples, control[0].journal.samples)]
        self._finish([*turns, *control], extra)

    def _finish(self, jobs: list[Job], extra: list[Any]) -> None:
        """Turns complete journals into runs; an incomplete one stays for the next session.

        All are written before the first is moved: a kill that parted a control from its cell
        would leave it without use.
        """
        complete = [job for job in jobs if job.journal.samples and not job.missing]
        # From what is on disk, so that a session that was killed and went on has one name.
        began = min((job.journal.samples[0].started for job in complete), default="")
        session = digest(began, sorted(job.key for job in complete))[:12]
        runs = [record(job, self.machine.id, session, extra) for job in complete]
        for job, run in zip(complete, runs, strict=True):
            job.journal.seal(run)
        for job, run in zip(complete, runs, strict=True):
            job.journal.publish(run)
