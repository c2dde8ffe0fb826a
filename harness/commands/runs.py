"""List the stored runs, oldest first."""

from __future__ import annotations

import argparse

from harness import home
from harness.commands import listing
from harness.run import store


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    found = [run for _, run in store.runs(home.root() / "results")]
    if options.json:
        listing.as_json([run.model_dump(mode="json") for run in found])
        return 0
    rows = [
        (
            run.machine,
            run.id,
            run.arm,
            f"{run.samples - run.failed}/{run.planned}",
            "valid" if run.valid else "invalid",
        )
        for run in found
    ]
    listing.table(("machine", "run", "arm", "samples", "gates"), rows)
    return 0
