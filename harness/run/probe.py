"""A quick look at how fast a model runs here, so that the plan can fit a cell to its time.

A probe is kept, because the shape that follows from it is part of a cell's key. One that others on
the machine disturbed is made again before the next run. No verdict reads it.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from harness.errors import WorkerError
from harness.plan.estimate import PROBE_SHAPE, Probe
from harness.plan.planner import Planned
from harness.run import gates, noise, store
from harness.run.machine import describe
from harness.run.manager import Worker
from harness.run.protocol import Request
from harness.run.records import Machine, Noise
from harness.run.runtimes import RUNTIMES
from harness.run.workloads import WORKLOADS

_SILENCE_SECONDS = 600.0


def load(results: Path) -> dict[str, Probe]:
    """This machine's probes, as `planner.probe_key` names them."""
    path = _path(results, describe(results, enrol=False))
    if not path.exists():
        return {}
    return {key: Probe.model_validate(row) for key, row in json.loads(path.read_bytes()).items()}


def probe(planned: Planned, artifact: Path, at: str, results: Path) -> Probe:
    """Runs and keeps one probe. Raises WorkerError where the model does not run at all."""
    request = Request(
        workload=WORKLOADS["speed"].target,
        runtime=RUNTIMES[str(planned.cell.runtime)].target,
        artifact=str(artifact),
        settings=planned.settings,
        shape=PROBE_SHAPE,
    )
    data, before = None, noise.read()
    with contextlib.closing(Worker(request, _SILENCE_SECONDS).events()) as events:
        for event in events:
            data = event.get("data", data)
    if data is None:
        raise WorkerError("crashed", "it ended without an answer")
    # The faster repeat: another program may have had a core for the moment of the other one.
    repeats = data["repeats"]
    found = Probe(
        load_seconds=data["load_seconds"],
        prefill_rate=max(one["evaluated_tokens"] / one["prefill_seconds"] for one in repeats),
        decode_rate=max(len(one["token_seconds"]) / sum(one["token_seconds"]) for one in repeats),
        quiet=not gates.disturbed(Noise.model_validate(noise.between(before, noise.read()))),
    )
    known = load(results) | {at: found}
    rows = {key: known[key].model_dump() for key in sorted(known)}
    path = _path(results, describe(results))
    store.write_whole(path, (json.dumps(rows, indent=1) + "\n").encode())
    return found


def _path(results: Path, machine: Machine) -> Path:
    return results / machine.id / "probes.json"
