"""What commands say while they work, to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness import prepare
from harness.run.session import Say


def say(text: str) -> None:
    """One line to stderr."""
    print(text, file=sys.stderr, flush=True)


def steps() -> prepare.Progress:
    """For long preparations: a line on stderr at every tenth, or when something else begins."""
    last: tuple[str, int] = ("", -1)

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        tenths = 10 * done // total if total else 0
        if (what, tenths) != last:
            last = (what, tenths)
            say(f"  {what} {10 * tenths}%" if total else f"  {what} ..")

    return tell


@contextmanager
def progress(total_seconds: float) -> Iterator[Say]:
    """A bar with an estimate on a terminal; elsewhere a line per sample with the minutes left."""
    if not sys.stderr.isatty():
        done, began = 0.0, time.monotonic()

        def line(text: str, seconds: float) -> None:
            """The plan says how long a part takes against the others, the clock how quick it is."""
            nonlocal done
            done += seconds
            pace = (time.monotonic() - began) / done if done else 1.0
            left = max(0.0, total_seconds - done) * pace
            say(f"  {text}  (in all about {left / 60:.0f} min left)")

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
