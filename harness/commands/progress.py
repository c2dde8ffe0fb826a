"""What commands say while they work, to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.run.session import Say


def say(text: str) -> None:
    """One line to stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(total_seconds: float) -> Iterator[Say]:
    """A bar with an estimate on a terminal; elsewhere a line per sample with the minutes left."""
    if not sys.stderr.isatty():
        done = 0.0

        def line(text: str, seconds: float) -> None:
            nonlocal done
            done += seconds
            say(f"  {text}  (about {max(0.0, total_seconds - done) / 60:.0f} min left)")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=max(total_seconds, 1e-9))

        def advance(text: str, seconds: float) -> None:
            bar.update(task, advance=seconds, description=text)

        yield advance
