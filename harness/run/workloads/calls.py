"""Code that pages recommend, each in a process of its own, with what it said.

The code is this project's, written down from the pages; nothing of a model repository is run.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from harness.ask import calls
from harness.ask.calls import Call
from harness.run.machine import scrub
from harness.run.protocol import Channel, Request

_FOLDERS = re.compile(r"[^\s(]*/(?=\w+\.py\))")
"""Of the file that an ImportError names; where a library lies here is nobody's concern."""
_SECONDS = 50
"""Below the silence after which the harness takes a worker for dead."""


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """A fact per call whose libraries are here: whether it works."""
    tried = {name: _tried(call) for name, call in calls.load().items()}
    yield {
        "kind": "facts",
        "facts": [{"name": name, **fact} for name, fact in tried.items() if fact],
    }


def _tried(call: Call) -> dict[str, Any] | None:
    try:
        versions = [f"{one} {importlib.metadata.version(one)}" for one in call.needs]
    except importlib.metadata.PackageNotFoundError:
        return None
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", call.code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return None  # a slow machine is no answer
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    code = "; ".join(line for line in call.code.splitlines() if line)
    answer = _FOLDERS.sub("", scrub(said[-1])) if said else "no error"
    source = f"`{code}` with {', '.join(versions)} says: {answer}"
    return {"value": done.returncode == 0, "origin": "tried here", "source": source}
