"""A checkout to give commands in, and the commands as processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIMS = ("002-19", "002-33", "004-17-size")
"""A panel and published facts: inconclusive, supported, refuted. They need no model."""

Say = Callable[..., int]


def fresh(folder: Path) -> Path:
    """What a clone holds, without results."""
    for name in ("claims", "pages", "tasks"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("models.yaml", "prices.yaml", "calls.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


def harness(
    cwd: Path, *words: str, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=120,
    )
