"""Kills at random moments: what is on disk is whole, and the same command goes on."""

from __future__ import annotations

import json
import os
import random
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from sessions import runs, samples, tiny
from workers import PATIENCE, first_line, script

from harness import prepare
from harness.run import store
from harness.run.records import Machine

KILLS = 30
MOST_SAMPLES = 5
LONGEST_SECONDS = 0.3
"""About what a sample takes where nothing else runs."""
pytestmark = pytest.mark.usefixtures("cache")

_SESSION = """
import sys
from pathlib import Path
from harness.run import gates
from harness.run.runtimes import RUNTIMES
from sessions import ENTRIES, TASK, cell, planned, session

RUNTIMES.update(ENTRIES)
gates.STEAL = gates.PRESSURE = (1.0, 1.0)  # the machine that runs the tests may be busy
gates.SAMPLER_CPU = 1.0
one = session(Path(sys.argv[1]))
one.say = lambda text, seconds: print(text, flush=True)
plan = planned(one, *((cell(what, "Slow"), 3) for what in ("speed", "load", "memory", TASK)))
print("begun", flush=True)
sys.exit(bool(one.run(plan)))
"""


def worker_of(pid: int) -> int | None:
    """The worker that the session has at this moment."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"harness.run.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


def taken(results: Path) -> dict[str, list[bytes]]:
    """Whole lines of samples by key, finished and under way; an invalid run is run again."""
    found: dict[str, list[bytes]] = {}
    for path in results.glob("*/.partial/*/samples.jsonl"):
        raw = path.read_bytes()
        found.setdefault(path.parent.name, []).append(raw[: raw.rfind(b"\n") + 1])
    for folder, run in store.runs(results):
        found.setdefault(run.key, []).append((folder / "samples.jsonl").read_bytes())
    return found


def check_whole(results: Path) -> None:
    """Every file that is not a temporary one can be read; nothing else counts as a result."""
    for path in results.rglob("*"):
        if not path.is_file() or path.suffix == ".tmp" or path.name == ".lock":
            continue
        if path.name == "samples.jsonl":
            raw = path.read_bytes()
            whole, _, torn = raw.rpartition(b"\n")
            for line in whole.splitlines():
                json.loads(line)
            assert not torn or ".partial" in path.parts
        else:
            json.loads(path.read_bytes())
    for _, run in store.runs(results):
        assert len(samples(results, run)) == run.samples
    for machine in store.machines(results):
        assert isinstance(machine, Machine)


def test_after_thirty_kills_every_file_is_whole_and_no_sample_is_taken_twice(
    tmp_path: Path,
) -> None:
    model = tiny()
    prepare.prepare(model, model.artifacts[0])  # a session that is killed in it gets no further
    with ThreadPoolExecutor(2) as pool:
        finished = list(pool.map(lambda at: killed(tmp_path / str(at), at, KILLS // 2), range(2)))
    assert sum(finished) >= 1


def killed(folder: Path, seed: int, kills: int) -> int:
    """Kills a session so many times, lets the last one end, and tells how many ended before."""
    draw, finished = random.Random(seed), 0
    results, before = folder / "results-0", dict[str, list[bytes]]()
    for kill in range(kills):
        process = script(_SESSION, str(results))
        assert process.stdout and first_line(process) == "begun\n"
        list(islice(process.stdout, draw.randint(0, MOST_SAMPLES)))  # as each begins
        wait_for_end(process.pid, draw.uniform(0, LONGEST_SECONDS))
        worker = worker_of(process.pid)
        if kill % 2 and worker:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
            list(islice(process.stdout, draw.randrange(1, 6)))  # the session goes on
        process.kill()
        assert process.wait(PATIENCE) in (0, -signal.SIGKILL)
        process.stdout.close()
        check_whole(results)
        after = taken(results)
        for key, contents in before.items():
            for lines in contents:
                assert any(now.startswith(lines) for now in after[key])
        before = after
        if process.returncode == 0:
            check_finished(results)
            finished += 1
            results, before = folder / f"results-{finished}", {}
    last = script(_SESSION, str(results))
    last.communicate(timeout=PATIENCE)
    assert last.returncode == 0
    check_finished(results)
    return finished


def wait_for_end(pid: int, seconds: float) -> None:
    process = os.pidfd_open(pid)
    select.select([process], [], [], seconds)
    os.close(process)


def check_finished(results: Path) -> None:
    assert len(runs(results)) == 5  # four cells and the control
    for folder, run in store.runs(results):
        taken = samples(results, run)
        assert [sample.index for sample in taken] == list(range(run.samples))
        before_first_item = [one for one in taken if run.task and one.item is None]
        assert all(sample.cause == "crashed" for sample in before_first_item)
        assert len(taken) - len(before_first_item) == 3 or run.failed
        assert sorted(path.name for path in folder.iterdir()) == ["run.json", "samples.jsonl"]
    assert not list(results.glob("*/.partial/*/samples.jsonl"))
