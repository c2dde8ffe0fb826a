"""Runs another program for `prepare`: quietly, with its words kept, and ended with us."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_BETWEEN_SECONDS = 0.2


def run(
    command: list[str], log: Path, env: Mapping[str, str], meanwhile: Callable[[], None]
) -> tuple[int, str]:
    """The exit status and all it said. `env` is added to ours.

    `meanwhile` is called again and again; what it raises ends the program.
    """
    with (
        log.open("wb") as sink,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
        ) as process,
    ):
        try:
            while process.poll() is None:
                meanwhile()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_BETWEEN_SECONDS)
        except BaseException:
            process.kill()
            raise
    return process.returncode, log.read_text(encoding="utf-8", errors="replace")


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """For `sys.addaudithook`, in a program that has no business there."""
    if event == "socket.connect":
        raise PermissionError(f"an export uses no network: {arguments[1]}")
