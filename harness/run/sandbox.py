"""Programs that a model wrote, run where they can do no harm, or not at all.

A program gets no network, no file of this machine but Python and the system's libraries, 64 MiB of
files in memory, 1 GiB of address space, one process without threads, and 10 seconds. Tested with
programs that attack, as root and as another user. Not promised against an unknown hole in the
kernel: who fears that, runs the harness in a virtual machine.

Linux alone, with user namespaces or as root.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from harness.errors import MissingError

SECONDS = 10
_GRACE, _MEMORY, _FILES = 5, 1 << 30, 64 << 20
_WORDS, _SAID = 300, 1 << 20
_BOX = Path(__file__).with_name("sandbox_box.py")


@dataclass(frozen=True)
class Ended:
    """`passed`: the program came to its end by itself. `reason`: why not, in its last words.

    `said`: the last MiB of what a program that passed has printed.
    """

    passed: bool
    reason: str
    said: str = ""


@cache
def check() -> None:
    """Raises MissingError where this machine has no sandbox: then nothing is run."""
    ended = _run("pass\n") if sys.platform == "linux" else Ended(False, "not Linux")
    if not ended.passed:
        raise MissingError(
            "programs that a model wrote run only in a sandbox, and this machine has none "
            f"({ended.reason}); Linux is needed, with unprivileged user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1) or as root"
        )


def run(program: str) -> Ended:
    """Runs a Python program in the sandbox. Raises MissingError without one."""
    check()
    return _run(program)


def _run(program: str) -> Ended:
    """The program has to say at its end what it cannot know: leaving early is no success."""
    word = secrets.token_hex(16)
    told = f"{program}\n__import__('sys').__stdout__.write('{word}')\n"
    limits = [str(one) for one in (SECONDS, _MEMORY, _FILES)]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(
            [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(_BOX), *limits],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=complaint,
            env={},
        )
        try:
            process.communicate(told.encode("utf-8", "replace"), timeout=SECONDS + _GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if process.returncode in (-signal.SIGKILL, signal.SIGKILL, signal.SIGXCPU):
            return Ended(False, f"ended after {SECONDS} seconds, or by the system")
        output = _end(said, _SAID)
        if process.returncode == 0 and output.endswith(word):
            return Ended(True, "", output.removesuffix(word))
        return Ended(False, _last_line(_end(complaint, _WORDS), process.returncode))


def _end(file: IO[bytes], most: int) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    return file.read().decode("utf-8", "replace")


def _last_line(text: str, status: int) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else f"exit status {status} before its end"
