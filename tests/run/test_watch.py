"""A watched process that takes memory and says so, and the watch that must have seen it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from workers import PATIENCE, fake, outcome

from harness.run.manager import Worker
from harness.run.records import Phase, Sampler
from harness.run.watch import Watch

MIB = 1 << 20

_PROCESS = """
import mmap, sys
kept = {}
for line in sys.stdin:
    what, mebibytes = line.split()[0], int(line.split()[1])
    if what == "take":  # memory of one's own, written to
        kept["own"] = mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for page in range(0, mebibytes << 20, 4096):
            kept["own"][page] = 1
    elif what == "free":
        kept.pop("own").close()
    elif what == "map":
        with open(sys.argv[1], "rb") as file:
            kept["file"] = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        sum(kept["file"][page] for page in range(0, mebibytes << 20, 4096))
    print("done", flush=True)
"""


class Process:
    """A process that takes, frees and maps memory when it is told to."""

    def __init__(self, file: Path) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._popen.pid
        self.does("nothing", 0)  # started

    def does(self, what: str, mebibytes: int) -> None:
        assert self._popen.stdin and self._popen.stdout
        self._popen.stdin.write(f"{what} {mebibytes}\n")
        self._popen.stdin.flush()
        assert self._popen.stdout.readline() == "done\n"

    def end(self) -> None:
        self._popen.communicate()


@contextmanager
def process(tmp_path: Path) -> Iterator[Process]:
    file = tmp_path / "mapped"
    file.write_bytes(os.urandom(MIB) * 48)
    found = Process(file)
    yield found
    found.end()


def test_what_a_process_takes_is_seen_within_two_per_cent(tmp_path: Path) -> None:
    with process(tmp_path) as helper:
        watch = Watch(helper.pid)
        watch.enter("import")
        watch.enter("load")
        helper.does("take", 64)
        watch.enter("context")
        helper.does("map", 48)
        watch.enter(None)
        phases, _ = watch.finish()
    before, load, context = (Phase.model_validate(phase) for phase in phases)
    assert load.anonymous_peak - before.anonymous_end == pytest.approx(64 * MIB, rel=0.02)
    assert load.anonymous_end - before.anonymous_end == pytest.approx(64 * MIB, rel=0.02)
    assert load.file_end == pytest.approx(before.file_end, abs=MIB)
    # A mapped file is resident, but it is not the process's own memory.
    assert context.anonymous_peak == pytest.approx(load.anonymous_end, rel=0.02)
    assert context.file_end - load.file_end == pytest.approx(48 * MIB, rel=0.02)
    assert context.resident_peak and load.resident_peak
    assert context.resident_peak - load.resident_peak == pytest.approx(48 * MIB, rel=0.02)
    assert context.pss_anonymous == pytest.approx(context.anonymous_end, rel=0.02)


def test_a_peak_belongs_to_its_phase_alone(tmp_path: Path) -> None:
    with process(tmp_path) as helper:
        watch = Watch(helper.pid)
        watch.enter("load")
        helper.does("take", 64)
        polled(watch)
        helper.does("free", 64)
        watch.enter("context")
        polled(watch)
        watch.enter(None)
        phases, _ = watch.finish()
    load, context = (Phase.model_validate(phase) for phase in phases)
    assert load.anonymous_peak - load.anonymous_end == pytest.approx(64 * MIB, rel=0.02)
    assert load.resident_peak and load.resident_peak - context.anonymous_end > 63 * MIB
    assert context.anonymous_peak < load.anonymous_peak - 60 * MIB
    assert context.resident_peak and context.resident_peak < load.resident_peak - 60 * MIB


def polled(watch: Watch, times: int = 3) -> None:
    """Waits until the watch has looked `times` more."""
    until = len(watch._stamps) + times
    moment = threading.Event()
    while len(watch._stamps) < until:
        moment.wait(0.002)


def measured_cost(seconds: float) -> dict[str, Any]:
    """What watching a process at rest costs. The process is a small one: so is a poll's work."""
    helper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = Watch(helper.pid)
    watch.enter("load")
    threading.Event().wait(seconds)
    watch.enter(None)
    _, sampler = watch.finish()
    helper.communicate(b"\n")
    return sampler


@pytest.mark.alone
def test_a_look_every_ten_milliseconds_costs_less_than_one_per_cent_of_a_core() -> None:
    seconds, found = 2.0, []
    for _attempt in range(3):  # a machine with other work to do is late
        sampler = Sampler.model_validate(measured_cost(seconds))
        found.append((seconds / sampler.polls, sampler.cpu_share))
        if found[-1][0] <= 0.0105 and found[-1][1] < 0.01:
            break
    else:
        pytest.fail(f"seconds between looks, share of a core: {found}")


def test_the_cost_reported_is_the_cost_there_was() -> None:
    """Against the process's own clock, over all its threads."""
    before = time.process_time()
    sampler = measured_cost(2.0)
    spent = time.process_time() - before
    assert 0 < sampler["cpu_share"] * 2.0 <= spent
    assert sampler["longest_gap_seconds"] >= sampler["interval_seconds"]


def test_a_watch_outlives_the_process_it_watches(tmp_path: Path) -> None:
    with process(tmp_path) as helper:
        watch = Watch(helper.pid)
        watch.enter("load")
        helper.does("take", 8)
        watch.enter("context")
    phases, sampler = watch.finish()
    assert [phase["name"] for phase in phases] == ["load"]
    assert sampler["polls"] >= 0


def test_a_worker_reports_the_phases_it_reached() -> None:
    worker = Worker(fake("allocates", limit=64), PATIENCE, watched=True)
    said, error = outcome(worker)
    assert error is None and said
    assert [phase["name"] for phase in worker.phases] == ["import"]
    assert worker.phases[0]["anonymous_peak"] > 64 * MIB
