"""What else the machine did while a sample ran: steal, pressure, throttling, switches, clock.

A counter that this machine does not show is None, never 0.
"""

from __future__ import annotations

import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Counters:
    """Totals since boot (seconds, events); switches are of our ended children."""

    clock: float
    cpu_total: float | None
    steal: float | None
    cpu_pressure: float | None
    memory_pressure: float | None
    throttle_events: int | None
    involuntary_switches: int


def read() -> Counters:
    total, steal = _cpu_times()
    return Counters(
        clock=time.monotonic(),
        cpu_total=total,
        steal=steal,
        cpu_pressure=_pressure("cpu"),
        memory_pressure=_pressure("memory"),
        throttle_events=_throttle_events(),
        involuntary_switches=resource.getrusage(resource.RUSAGE_CHILDREN).ru_nivcsw,
    )


def between(before: Counters, after: Counters) -> dict[str, Any]:
    """The difference as `harness.run.records.Noise`; shares are of the time that passed."""
    seconds = after.clock - before.clock
    return {
        "steal_share": _share(before.steal, after.steal, before.cpu_total, after.cpu_total),
        "cpu_pressure_share": _share(before.cpu_pressure, after.cpu_pressure, 0.0, seconds),
        "memory_pressure_share": _share(
            before.memory_pressure, after.memory_pressure, 0.0, seconds
        ),
        "throttle_events": _difference(before.throttle_events, after.throttle_events),
        "involuntary_switches": after.involuntary_switches - before.involuntary_switches,
        "mean_mhz": _mean_mhz(),
    }


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _share(
    before: float | None, after: float | None, whole_before: float | None, whole: float | None
) -> float | None:
    if before is None or after is None or whole_before is None or whole is None:
        return None
    return (after - before) / (whole - whole_before) if whole > whole_before else None


def _cpu_times() -> tuple[float | None, float | None]:
    """All CPU time and the stolen part, over all processors, in ticks (proc_stat(5))."""
    try:
        ticks = [
            float(tick) for tick in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        ]
    except (OSError, ValueError):
        return None, None
    return sum(ticks[:8]), ticks[7]  # guest time, fields 9 and 10, is within user time


def _pressure(resource_name: str) -> float | None:
    """Seconds in which some task waited for the resource (PSI)."""
    try:
        text = Path(f"/proc/pressure/{resource_name}").read_text()
    except OSError:
        return None
    found = re.search(r"^some .*total=(\d+)", text)
    return int(found[1]) / 1e6 if found else None


def _throttle_events() -> int | None:
    counts = _numbers("cpu[0-9]*/thermal_throttle/*_throttle_count")
    return sum(counts) if counts else None


def _mean_mhz() -> float | None:
    clocks = _numbers("cpu[0-9]*/cpufreq/scaling_cur_freq")
    return sum(clocks) / len(clocks) / 1000 if clocks else None


def _numbers(pattern: str) -> list[int]:
    """What these files hold; nothing where one of them has no number ("<unknown>", idle cores)."""
    try:
        return [int(path.read_text()) for path in _CPU.glob(pattern)]
    except (OSError, ValueError):
        return []
