"""List the tasks."""

from __future__ import annotations

import argparse

from harness.ask import tasks
from harness.commands import listing


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    known = tasks.load()
    if options.json:
        listing.as_json([task.model_dump(mode="json") for task in known.values()])
        return 0
    listing.table(
        ("task", "rows", "planned", "licence", "title"),
        [
            (one.name, one.rows.available, one.rows.planned, one.licence, one.title)
            for one in known.values()
        ],
    )
    return 0
