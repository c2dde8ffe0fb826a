"""Watches a worker's memory from outside, phase by phase. Linux: /proc.

Anonymous memory is polled; the resident peak is the kernel's own high-water mark, reset for each
phase.
Does not run beside a timed sample: a poll takes a core from it for some ten microseconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

INTERVAL_SECONDS = 0.0095  # so that with its own work a poll comes every 10 ms at most
_KIB = 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Polls process `pid` until `finish`. Reads that fail mean that the process is gone."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        # statm costs a fifth of what status costs, and the poll must stay below 1% of a core.
        self._statm = os.open(self._proc / "statm", os.O_RDONLY)
        self._done = False
        # What the poll read in the phase under way, as it came: it is understood when the phase
        # ends. A new phase brings a new list, so that the poll needs no lock.
        self._seen: list[bytes] = []
        self._stamps: list[float] = []
        self._phase: str | None = None
        self._phases: list[dict[str, Any]] = []
        self._cpu = 0.0
        self._began = self._entered = time.monotonic()
        self._faults = 0
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        # As little as can be: each poll wakes up with cold caches, and pays for all it touches.
        sleep, read, now, file = time.sleep, os.pread, time.monotonic, self._statm
        stamp = self._stamps.append
        while not self._done:
            sleep(INTERVAL_SECONDS)
            try:
                self._seen.append(read(file, 128, 0))
            except OSError:  # gone
                break
            stamp(now())
        self._cpu = time.thread_time()

    def enter(self, phase: str | None) -> None:
        """Closes the phase under way and opens the next. The worker stands still meanwhile."""
        with contextlib.suppress(OSError):
            self._close()
            # 5 resets VmHWM to what is resident now (proc_pid_clear_refs(5)).
            (self._proc / "clear_refs").write_text("5")
        self._seen = []
        self._phase, self._entered = phase, time.monotonic()
        self._faults = self._major_faults()

    def finish(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The phases seen and the sampler's own cost, as records.Phase and records.Sampler."""
        with contextlib.suppress(OSError):
            self._close()
        self._done = True
        self._thread.join()
        os.close(self._statm)
        seconds = max(time.monotonic() - self._began, 1e-9)
        sampler = {
            "interval_seconds": INTERVAL_SECONDS,
            "polls": len(self._stamps),
            "cpu_share": self._cpu / seconds,
            "longest_gap_seconds": max(
                (after - before for before, after in pairwise([self._began, *self._stamps])),
                default=0.0,
            ),
        }
        return self._phases, sampler

    def _close(self) -> None:
        """Ends the phase under way. Raises OSError where the process is gone: nothing to read."""
        if self._phase is None:
            return
        name, self._phase = self._phase, None
        status = _kib_fields((self._proc / "status").read_text())
        rollup = _kib_fields((self._proc / "smaps_rollup").read_text())
        peak = max([status["RssAnon"], *map(_anonymous, self._seen)])
        self._phases.append(
            {
                "name": name,
                "seconds": time.monotonic() - self._entered,
                "anonymous_peak": peak,
                "anonymous_end": status["RssAnon"],
                "file_end": status["RssFile"],
                "resident_peak": status.get("VmHWM"),
                "pss_anonymous": rollup.get("Pss_Anon"),
                "pss_file": rollup.get("Pss_File"),
                "major_faults": self._major_faults() - self._faults,
            }
        )

    def _major_faults(self) -> int:
        try:
            # After the command in brackets: state ppid .. minflt cminflt majflt (proc_pid_stat(5)).
            return int((self._proc / "stat").read_text().rpartition(")")[2].split()[9])
        except OSError:
            return 0


def _anonymous(statm: bytes) -> int:
    """Resident less shared pages (proc_pid_statm(5)), in bytes: what status calls RssAnon."""
    _, resident, shared, _ = statm.split(maxsplit=3)
    return (int(resident) - int(shared)) * _PAGE


def _kib_fields(text: str) -> dict[str, int]:
    return {name: int(kib) * _KIB for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
