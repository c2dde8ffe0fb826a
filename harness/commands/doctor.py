"""What this machine can run, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
from dataclasses import dataclass

from harness import home
from harness.commands import listing
from harness.plan.estimate import memory_available
from harness.run.limit import cap
from harness.run.machine import describe
from harness.run.noise import read
from harness.run.runtimes import RUNTIMES

_SITE = ("altair", "vl-convert-python")


@dataclass(frozen=True)
class Check:
    """`here` None: this machine does not show it, and nothing mends that."""

    what: str
    here: bool | None
    detail: str


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    checks = [*_machine(), *_packages(), *_sensors()]
    if options.json:
        listing.as_json([vars(check) for check in checks])
    else:
        words = {True: "yes", False: "missing", None: "not shown here"}
        rows = [(check.what, words[check.here], check.detail) for check in checks]
        listing.table(("what", "here", "detail"), rows)
    return 3 if any(check.here is False for check in checks) else 0


def _machine() -> list[Check]:
    machine = describe(home.root() / "results", enrol=False)
    free = shutil.disk_usage(home.root()).free
    memory = memory_available()
    limit = cap(1 << 30)
    return [
        Check("processor", True, f"{machine.processor}, {machine.cores} cores"),
        Check("memory", True, f"{listing.size(machine.memory_bytes)} in all"),
        Check("free memory", memory is not None or None, listing.size(memory) if memory else ""),
        Check("free disk", True, listing.size(free)),
        Check("memory cap", True, f"{limit.method}: {limit.covers}"),
    ]


def _packages() -> list[Check]:
    wanted = [
        (name, distribution, entry.extra)
        for name, entry in RUNTIMES.items()
        for distribution in entry.distributions
    ]
    wanted += [("model hub", "huggingface_hub", "hub")]
    wanted += [("charts", distribution, "site") for distribution in _SITE]
    found = []
    for name, distribution, extra in wanted:
        try:
            version = importlib.metadata.version(distribution)
            found.append(Check(name, True, f"{distribution} {version}"))
        except importlib.metadata.PackageNotFoundError:
            found.append(Check(name, False, f"pip install 'claimbench[{extra}]'"))
    return found


def _sensors() -> list[Check]:
    counters = read()
    sensors = {
        "steal": counters.steal,
        "CPU pressure": counters.cpu_pressure,
        "memory pressure": counters.memory_pressure,
        "throttling": counters.throttle_events,
    }
    return [
        Check(f"sensor: {name}", None if seen is None else True, "" if seen is None else "counted")
        for name, seen in sensors.items()
    ]
