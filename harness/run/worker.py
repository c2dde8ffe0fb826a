"""A worker process: reads one request, measures, answers, ends. Started by `manager` only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from importlib import import_module
from typing import Any

from harness.run.protocol import Channel, Request

_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 64 << 20
_ROOM_BYTES = 4 << 20


def resolve(name: str) -> Any:
    """The object `module:name` points at."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def main() -> None:
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    _limit_log()
    request = Request.from_json(sys.stdin.readline())
    channel = Channel(fd)
    for data in resolve(request.workload)(request, channel):
        channel.send("data", data=data)
    channel.send("end")


def _die_with(parent: int) -> None:
    """A killed harness must not leave a worker that holds gigabytes and two cores."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the parent is gone")


def _limit_log() -> None:
    """A runtime that prints without end must not fill the disk. Nothing else is written here."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LOG_BYTES, _LOG_BYTES))


def _say_if_full() -> None:
    """Where memory is out, imports fail in words of any kind: a name that a module lacks, a tree
    without a node. So whether there is room is tried, while what failed still holds its own."""
    try:
        bytearray(_ROOM_BYTES)
    except MemoryError:
        print(f"MemoryError: no room for {_ROOM_BYTES} bytes", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        _say_if_full()
        raise
