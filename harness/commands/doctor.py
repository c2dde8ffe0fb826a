"""What this machine can run, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness import home
from harness.commands import listing
from harness.plan.estimate import memory_available
from harness.run import devices
from harness.run.limit import cap
from harness.run.machine import describe
from harness.run.noise import read
from harness.run.runtimes import RUNTIMES


@dataclass(frozen=True)
class Check:
    """`here` None: this machine does not show it, and nothing mends that."""

    what: str
    here: bool | None
    detail: str


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    checks = [*_machine(), *_packages(), *_devices(), *_sensors()]
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
        for distribution in entry.needs("cpu")
    ]
    wanted += [("model hub", "huggingface_hub", "hub")]
    found = []
    for name, distribution, extra in wanted:
        try:
            version = importlib.metadata.version(distribution)
            found.append(Check(name, True, f"{distribution} {version}"))
        except importlib.metadata.PackageNotFoundError:
            found.append(Check(name, False, f"pip install 'claimbench[{extra}]'"))
    return found


def _devices() -> list[Check]:
    """First what there is, then what each runtime says of each device it knows.

    `missing` is only what this machine has and the runtime can't use: for want of a GPU nobody
    needs to install anything.
    """
    present = devices.hardware()
    installed = [name for name, entry in RUNTIMES.items() if not _absent(entry.needs("cpu"))]
    answers = devices.ask(installed)
    found = [
        Check(f"device: {one.maker} {one.kind}", True, _users(one, answers)) for one in present
    ]
    for name in installed:
        for device in RUNTIMES[name].devices:
            said = answers.get(name, {})
            silent = said.get("", devices.Usable(None, "the runtime does not say"))
            usable = said.get(device, silent)
            needed = devices.NEEDS.get(device)
            there = not needed or any(devices.stands_for(device, one) for one in present)
            here = usable.yes if usable.yes or there else None
            words = _words(name, device, usable)
            if needed and not (usable.yes or there):
                kind = needed.kind if needed.maker == devices.ANYONE else f"{needed.maker} device"
                words = f"no {kind} seen; {words}"
            found.append(Check(f"{name} on {device}", here, words))
    return found


def _users(device: devices.Device, answers: Mapping[str, Mapping[str, devices.Usable]]) -> str:
    names = [name for name in devices.NEEDS if devices.stands_for(name, device)]
    uses = [
        f"{runtime} as {name}"
        for runtime, said in answers.items()
        for name in names
        if name in said and said[name].yes
    ]
    return f"used by {', '.join(uses)}" if uses else "used by no runtime here"


def _words(runtime: str, device: str, usable: devices.Usable) -> str:
    """With what brings the device's own package, where that is not here."""
    _, extra = RUNTIMES[runtime].also.get(device, ("", ""))
    if not extra or usable.yes or not _absent(RUNTIMES[runtime].also[device][:1]):
        return usable.words
    return f"pip install 'claimbench[{extra}]'"


def _absent(distributions: Iterable[str]) -> bool:
    try:
        for one in distributions:
            importlib.metadata.version(one)
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


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
