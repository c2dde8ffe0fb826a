"""A worker process: reads one request, measures, answers, ends. Started by `manager` only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from importlib import import_module
from typing import Any

from harness.run.protocol import Channel, Request

_PR_SET_PDEATHSIG = 1


def resolve(name: str) -> Any:
    """The object `module:name` points at."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def main() -> None:
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
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


if __name__ == "__main__":
    main()
