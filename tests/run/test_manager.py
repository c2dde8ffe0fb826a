from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from workers import (
    PATIENCE,
    cause,
    children,
    fake,
    first_line,
    outcome,
    script,
    wait_until_gone,
)

from harness.run.limit import Cap
from harness.run.manager import _DETAIL_CHARACTERS, Worker

ENDS = {
    "aborts": ("crashed", "signal SIGABRT"),
    "exits": ("crashed", "exit status 3"),
    "leaves_silently": ("crashed", "exit status 0"),
    "is_killed": ("crashed", "signal SIGKILL"),
    "dies_of_a_nameless_signal": ("crashed", f"signal {signal.SIGRTMIN + 6}"),
    "raises": ("crashed", "RuntimeError: the artifact"),
    "refuses": ("bad_artifact", "the artifact"),
    "hangs_with_a_child": ("timeout", "no word for 3 s"),
    "floods_the_log": ("crashed", "exit status 1"),
    "floods_the_pipe": ("crashed", "an event without an end"),
    "talks_nonsense": ("crashed", "what is no event"),
    "fails_to_allocate": ("crashed", "MemoryError"),
}


@pytest.mark.parametrize("name", ENDS)
def test_however_a_worker_ends_the_cause_is_named_and_the_next_one_answers(name: str) -> None:
    silence = 3.0 if name == "hangs_with_a_child" else PATIENCE
    said, error = outcome(Worker(fake(name, artifact="the artifact"), silence))
    assert error
    assert error.cause == ENDS[name][0]
    assert ENDS[name][1] in error.detail
    assert len(error.detail) < _DETAIL_CHARACTERS + 30
    for one in said:
        wait_until_gone(one["pid"])

    said, error = outcome(Worker(fake("answers"), PATIENCE))
    assert (len(said), error) == (1, None)


def test_a_worker_that_is_heard_does_not_hang_and_only_its_data_are_told() -> None:
    said, error = outcome(Worker(fake("thinks"), 5))
    assert error is None
    assert [set(one) for one in said] == [{"pid"}]


def test_what_a_worker_said_before_it_hung_is_kept() -> None:
    said, error = outcome(Worker(fake("hangs"), 3))
    assert error and error.cause == "timeout"
    assert len(said) == 1
    wait_until_gone(said[0]["pid"])


def test_memory_that_is_not_there_is_out_of_memory_under_a_cap_only() -> None:
    assert cause(Worker(fake("fails_to_allocate"), PATIENCE)) == "crashed"
    capped = Worker(fake("fails_to_allocate"), PATIENCE, cap=Cap(1 << 30))
    assert cause(capped) == "out_of_memory"


def test_a_refusal_is_recognised_however_long_the_runtime_talks() -> None:
    _, error = outcome(Worker(fake("refuses", artifact="so " * 1000), PATIENCE))
    assert error
    assert error.cause == "bad_artifact"
    assert error.detail.startswith("so so")
    assert len(error.detail) <= _DETAIL_CHARACTERS


def test_a_detail_holds_no_path_and_no_name(tmp_path: Path) -> None:
    names = f"{Path.home()}/x, {tmp_path}/y.gguf, {Path.cwd()}/z of {socket.gethostname()}xx"
    _, error = outcome(Worker(fake("raises", artifact=names), PATIENCE))
    assert error and "RuntimeError: HOME/x, y.gguf, HERE/z" in error.detail
    for leak in (str(Path.home()), str(Path.cwd()), str(tmp_path)):
        assert leak not in error.detail
    assert not re.search(r"(?<![\w.])/\w", error.detail)


def test_a_worker_that_is_dropped_half_way_is_killed() -> None:
    events = Worker(fake("hangs"), PATIENCE).events()
    pid = next(events)["data"]["pid"]
    events.close()
    wait_until_gone(pid)


_HARNESS = """
import signal
from workers import fake
from harness.run.manager import Worker
signal.signal(signal.SIGINT, signal.default_int_handler)
for event in Worker(fake("hangs"), 600).events():
    print(event["data"]["pid"], flush=True)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_survives_its_harness(end: signal.Signals) -> None:
    """Only the harness gets the signal: Ctrl-C in a terminal does not reach the worker."""
    harness = script(_HARNESS)
    worker = int(first_line(harness))
    harness.send_signal(end)
    assert harness.wait(PATIENCE) == -end
    wait_until_gone(worker)
    if harness.stdout:
        harness.stdout.close()


def test_a_worker_whose_parent_died_before_it_started_does_nothing() -> None:
    request = fake("answers").to_json() + "\n"
    command = [sys.executable, "-m", "harness.run.worker", "1", "1"]
    orphan = subprocess.run(command, input=request, capture_output=True, text=True)
    assert orphan.returncode == 1
    assert orphan.stdout == ""
    assert "the parent is gone" in orphan.stderr


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_twenty_workers_leave_no_process_and_no_descriptor() -> None:
    outcome(Worker(fake("answers"), PATIENCE))  # what is opened once and kept
    before, open_before = children(), open_descriptors()
    for name in ("answers", "aborts", "exits", "refuses") * 5:
        outcome(Worker(fake(name, artifact=""), PATIENCE, watched=name != "exits"))
    assert children() <= before
    assert open_descriptors() == open_before
