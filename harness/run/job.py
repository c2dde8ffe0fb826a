"""A cell under way: what its workers are told, and the run that its samples become."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import harness
from harness import home, prepare
from harness.ask.models import Model
from harness.ask.tasks import HubRows, Task
from harness.plan.planner import Planned, key
from harness.prepare.data import fetch as fetch_data
from harness.run import gates, store
from harness.run.protocol import Request
from harness.run.reached import reached
from harness.run.records import (
    ArtifactRecord,
    EndpointRecord,
    Gate,
    HarnessRecord,
    ItemData,
    Run,
    RuntimeRecord,
    Sample,
    TaskRecord,
)
from harness.run.runtimes import HEADER_READER, RUNTIMES, takes_messages
from harness.run.so_far import SoFar
from harness.run.tasks import check_machine, kind, libraries
from harness.run.workloads import WORKLOADS, workload_of


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
    endpoint: EndpointRecord | None = None
    until_width: float | None = None
    """A task may end where the interval of what its answers are worth is no wider."""
    so_far: SoFar = field(init=False)

    def __post_init__(self) -> None:
        self.so_far = SoFar(self.journal.samples)

    def keep(self, sample: Sample) -> None:
        """Puts a sample on disk."""
        self.journal.append(sample)
        self.so_far.add(sample)

    @property
    def missing(self) -> int:
        left = max(0, self.planned.n - len(self.journal.samples))
        return 0 if self.seen_enough else left

    @property
    def seen_enough(self) -> bool:
        """Whether a look at the items so far ends the run, before its planned n."""
        share = self.so_far.share() if self.until_width is not None else None
        return bool(share and self.until_width and share.high - share.low <= self.until_width)

    @property
    def silence(self) -> float:
        """Seconds without a word after which a worker counts as hung.

        A long item is given more: the longer a prompt, the longer each of its tokens takes. So is
        one of several under way, which may all be heard of at once, after all their work.
        """
        mean, together = self.planned.seconds / self.planned.n, self.planned.cell.parallel or 1
        return max(60.0, 10 * mean, 30 * self.planned.slowest) * together


def takes_turns(planned: Planned) -> bool:
    """Whether the cell's processes take turns with those of other cells."""
    workload = planned.cell.workload
    return workload is not None and WORKLOADS[workload].interleaved


def make(
    planned: Planned,
    models: Mapping[str, Model],
    tasks: Mapping[str, Task],
    machine_folder: Path,
    offline: bool,
) -> Job:
    """Prepares artifact and data. Raises HarnessError where they can't be had."""
    cell, name = planned.cell, key(planned, models, tasks)
    (artifact, what), endpoint, data, task = _artifact(planned, models, offline), None, None, None
    if takes_messages(cell.runtime):
        endpoint, what = reached(models[str(cell.model)], offline)
    if cell.task:
        data, task = _task(tasks[cell.task], planned.n, offline)
    request = Request(
        workload=workload_of(cell).target,
        runtime=RUNTIMES[cell.runtime or HEADER_READER].target if what else None,
        artifact=what,
        settings=planned.settings,
        shape=planned.shape,
        page_cache=cell.page_cache,
        model=cell.model,
        page=cell.page,
        task=cell.task,
        task_data=data,
        limit=planned.n if cell.task else None,
    )
    journal = store.Journal(machine_folder, name)
    return Job(planned, name, journal, request, artifact, task, endpoint=endpoint)


def _artifact(
    planned: Planned, models: Mapping[str, Model], offline: bool
) -> tuple[ArtifactRecord | None, str | None]:
    """The cell's artifact, prepared, and its path; None where it has none."""
    artifact = planned.artifact
    if artifact is None or planned.cell.model is None:
        return None, None
    prepared = prepare.prepare(models[planned.cell.model], artifact, offline=offline)
    record = ArtifactRecord(
        format=artifact.format,
        quantisation=artifact.quantisation,
        sha256=prepared.sha256,
        bytes=prepared.bytes,
        weights=artifact.weights,
        source=prepare.origin(artifact, prepared),
    )
    return record, str(prepared.path)


def _task(task: Task, rows: int, offline: bool) -> tuple[str, TaskRecord]:
    check_machine(task)
    path = fetch_data(task.source, offline=offline)
    if isinstance(task.source, HubRows):  # a row that is not right is told before a model is loaded
        kind(task.kind).items(task, path, rows)
    record = TaskRecord(
        id=task.name,
        version_hash=task.version_hash(),
        scorer_version=kind(task.kind).VERSION,
        libraries=libraries(task),
        rows=rows,
        template_sha256=None,
    )
    return str(path), record


def record(job: Job, machine: str, session: str, extra: list[Gate]) -> Run:
    """The run that a complete journal makes; `extra` are the session's own gates."""
    samples, planned = job.journal.samples, job.planned
    cell = planned.cell
    began = samples[0].started
    runtime_name = cell.runtime or (HEADER_READER if job.artifact else None)
    return Run(
        id=f"{began.replace(':', '').replace('-', '')}_{cell.name}"
        f"{'_control' if job.arm == 'control' else ''}_{job.key[:8]}",
        key=job.key,
        machine=machine,
        session=session,
        arm=job.arm,
        cell=cell,
        settings=planned.settings,
        shape=planned.shape,
        planned=planned.n,
        samples=len(samples),
        failed=sum(1 for sample in samples if sample.cause),
        started=began,
        ended=now(),
        harness=_harness(),
        runtime=_runtime(runtime_name, str(cell.device or "cpu")),
        artifact=job.artifact,
        endpoint=job.endpoint,
        task=job.task and job.task.model_copy(update={"template_sha256": _template(samples)}),
        gates=[
            *gates.gates(cell, planned.settings, planned.shape, samples),
            *gates.whole(planned.n, samples),
            *extra,
        ],
        warnings=gates.warnings(cell, samples),
        samples_sha256=hashlib.sha256(store.samples_bytes(samples)).hexdigest(),
    )


def _template(samples: list[Sample]) -> str | None:
    """From the samples, so that it survives a kill between the last item and the run's end."""
    answers = (sample.data for sample in samples if isinstance(sample.data, ItemData))
    return next((data.template_sha256 for data in answers if data.template_sha256), None)


def now() -> str:
    """The time (UTC) to the millisecond: two runs of a quick cell may begin in one second."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _runtime(name: str | None, device: str) -> RuntimeRecord | None:
    if name is None:
        return None
    version = importlib.metadata.version(RUNTIMES[name].own)
    return RuntimeRecord(name=name, version=version, device=device)


def _harness() -> HarnessRecord:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                # Without a lock: a kill meanwhile must not leave one in the user's checkout.
                ["git", "--no-optional-locks", "-C", str(home.root()), *arguments],
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
