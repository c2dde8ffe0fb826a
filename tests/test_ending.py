"""How scripts end: the statuses that they promise, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
import os, signal, sys, time
sys.argv = ["scripts/compare-this"]
from ending import end
from harness.errors import *

def main():
    try:
        {body}
    finally:
        print("ended what was open")

end(main)
"""


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("return 1", 1, ""),
        ("raise UnknownName('task', 'x', [])", 2, "unknown task 'x': there is no task at all\n"),
        ("raise MissingError('install it')", 3, "install it\n"),
        ("raise WorkerError('crashed', 'signal 9')", 3, "crashed: signal 9\n"),
        ("raise KeyboardInterrupt", 130, "stopped\n"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", 143, ""),
    ],
)
def test_a_script_ends_with_its_status_and_without_a_traceback(
    body: str, status: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        env={"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (status, "ended what was open\n")
    assert done.stderr.strip() == (f"compare-this: {said}".strip() if said else "")
