"""What most commands start from: claims, models, tasks, this machine's probes, a planner."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness import home
from harness.ask import claims, models, pages, tasks
from harness.ask.claims import SUITES, Claim
from harness.ask.models import Model
from harness.ask.pages import Page
from harness.ask.tasks import Task
from harness.errors import UnknownName
from harness.plan.planner import Planner
from harness.run import probe
from harness.run.runtimes import RUNTIMES


@dataclass(frozen=True)
class Context:
    """Everything that is asked, read once when first needed."""

    @cached_property
    def results(self) -> Path:
        return home.root() / "results"

    @cached_property
    def models(self) -> dict[str, Model]:
        return models.load()

    @cached_property
    def claims(self) -> dict[str, Claim]:
        return claims.load()

    @cached_property
    def pages(self) -> dict[str, Page]:
        return pages.load()

    @cached_property
    def tasks(self) -> dict[str, Task]:
        return tasks.load()

    def planner(self) -> Planner:
        """A planner that knows the probes so far."""
        return Planner(self.models, self.tasks, probe.load(self.results))


def choice_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose claims."""
    parser.add_argument("names", nargs="*", metavar="PAGE or CLAIM", help="all where none is named")
    parser.add_argument(
        "--suite",
        default="smoke",
        help=f"{', '.join(SUITES)}: how long it may take (default smoke)",
    )
    parser.add_argument("--runtime", action="append", help="only claims on this runtime")
    parser.add_argument("--device", action="append", help="only claims on this device")


def chosen(context: Context, options: argparse.Namespace) -> list[Claim]:
    """The claims that the arguments choose. Raises UnknownName."""
    if options.suite not in SUITES:
        raise UnknownName("suite", options.suite, SUITES)
    devices = {device for entry in RUNTIMES.values() for device in entry.devices}
    for kind, names, known in (
        ("runtime", options.runtime, set(RUNTIMES)),
        ("device", options.device, devices),
    ):
        for name in names or []:
            if name not in known:
                raise UnknownName(kind, name, known)
    found = claims.choose(context.claims, options.names, options.suite)
    return [
        claim
        for claim in found
        if claim.rule is None
        or (
            (not options.runtime or claim.rule.conditions.runtime in options.runtime)
            and (not options.device or claim.rule.conditions.device in options.device)
        )
    ]
