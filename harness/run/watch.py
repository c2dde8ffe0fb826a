"""Watches a worker's memory from outside, phase by phase. Linux: /proc.

`RssAnon` is polled; the resident peak is the kernel's own high-water mark, reset at each phase.
Does not run beside a timed sample: a poll takes a core from it for some ten microseconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

INTERVAL_SECONDS = 0.01
_KIB = 1024


class Watch:
    """Polls process `pid` until `finish`. Reads that fail mean that the process is gone."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._status = os.open(self._proc / "status", os.O_RDONLY)
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._peak = 0
        self._phase: str | None = None
        self._phases: list[dict[str, Any]] = []
        self._polls, self._gap, self._cpu = 0, 0.0, 0.0
        self._began = self._entered = time.monotonic()
        self._faults = 0
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        before = time.monotonic()
        while not self._done.wait(INTERVAL_SECONDS):
            anonymous = self._rss_anon()
            if anonymous is None:
                break
            now = time.monotonic()
            with self._lock:
                self._peak = max(self._peak, anonymous)
            self._polls += 1
            self._gap, before = max(self._gap, now - before), now
        self._cpu = time.thread_time()

    def enter(self, phase: str | None) -> None:
        """Closes the phase under way and opens the next. The worker stands still meanwhile."""
        with contextlib.suppress(OSError):
            self._close()
            # 5 resets VmHWM to what is resident now (proc_pid_clear_refs(5)).
            (self._proc / "clear_refs").write_text("5")
        with self._lock:
            self._peak = self._rss_anon() or 0
        self._phase, self._entered = phase, time.monotonic()
        self._faults = self._major_faults()

    def finish(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The phases seen and the sampler's own cost, as records.Phase and records.Sampler."""
        with contextlib.suppress(OSError):
            self._close()
        self._done.set()
        self._thread.join()
        os.close(self._status)
        seconds = max(time.monotonic() - self._began, 1e-9)
        sampler = {
            "interval_seconds": INTERVAL_SECONDS,
            "polls": self._polls,
            "cpu_share": self._cpu / seconds,
            "longest_gap_seconds": self._gap,
        }
        return self._phases, sampler

    def _close(self) -> None:
        """Ends the phase under way. Raises OSError where the process is gone: nothing to read."""
        if self._phase is None:
            return
        name, self._phase = self._phase, None
        status = _kib_fields((self._proc / "status").read_text())
        rollup = _kib_fields((self._proc / "smaps_rollup").read_text())
        with self._lock:
            peak = max(self._peak, status.get("RssAnon", 0))
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

    def _rss_anon(self) -> int | None:
        try:
            raw = os.pread(self._status, 4096, 0)
        except OSError:
            return None
        at = raw.find(b"RssAnon:")
        # A zombie has no memory lines any more.
        return int(raw[at + 8 : raw.index(b"kB", at)]) * _KIB if at >= 0 else None

    def _major_faults(self) -> int:
        try:
            # After the command in brackets: state ppid .. minflt cminflt majflt (proc_pid_stat(5)).
            return int((self._proc / "stat").read_text().rpartition(")")[2].split()[9])
        except OSError:
            return 0


def _kib_fields(text: str) -> dict[str, int]:
    return {name: int(kib) * _KIB for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
