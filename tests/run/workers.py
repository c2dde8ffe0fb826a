"""Starts workers for tests, and waits for processes without sleeping."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import WorkerError
from harness.run.manager import Worker
from harness.run.protocol import Request, Settings, Shape
from harness.run.runtimes import settings_for
from harness.run.workloads import WORKLOADS

LLAMACPP = "harness.run.runtimes.llamacpp:LlamaCpp"
SETTINGS = settings_for("llama.cpp", "cpu", threads=1, context=256)
TINY = Shape(prompt_tokens=8, new_tokens=2, repeats=1)
PATIENCE = 120.0  # the machine may be busy; nothing here waits this long on an idle one


def asked(**changes: Any) -> Settings:
    """SETTINGS but for these, llama.cpp's own among them."""
    common = {name: changes.pop(name) for name in ("threads", "context") if name in changes}
    return replace(SETTINGS, **common, options=SETTINGS.options | changes)


def fake(name: str, **changes: Any) -> Request:
    """A request for a workload in fakes.py."""
    return Request(workload=f"fakes:{name}", **changes)


def real(workload: str, artifact: Path, **changes: Any) -> Request:
    """A request for a real workload on llama.cpp."""
    known = {"runtime": LLAMACPP, "settings": SETTINGS, "shape": TINY, "artifact": str(artifact)}
    return Request(workload=WORKLOADS[workload].target, **(known | changes))


def outcome(worker: Worker) -> tuple[list[Any], WorkerError | None]:
    """What the worker said until it ended, and the cause if it had one."""
    said = []
    try:
        for event in worker.events():
            said.append(event["data"])
    except WorkerError as error:
        return said, error
    return said, None


def cause(worker: Worker) -> str | None:
    _, error = outcome(worker)
    return error.cause if error else None


def wait_until_gone(pid: int) -> None:
    """Returns once the process has ended; fails where it does not."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            ended, _, _ = select.select([process], [], [], PATIENCE)
            assert ended, f"process {pid} lives on"
        finally:
            os.close(process)


def children() -> set[str]:
    """Pids of this process's children, zombies among them."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def script(text: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of its own that runs `text`."""
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()
