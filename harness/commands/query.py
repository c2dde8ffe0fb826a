"""Ask the stored records in SQL: the tables `runs`, `samples` and `verdicts`, read by DuckDB."""

from __future__ import annotations

import argparse
import json

from harness import home, reports
from harness.commands import listing


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sql", metavar="SQL", help="for instance: DESCRIBE runs")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    columns, rows = reports.ask(home.root() / "results", options.sql)
    if options.json:
        found = [dict(zip(columns, row, strict=True)) for row in rows]
        listing.as_json(json.loads(json.dumps(found, default=str)))  # JSON has no dates
    else:
        listing.table(columns, [[_line(value) for value in row] for row in rows])
    return 0


def _line(value: object) -> str:
    """On one line, and nothing that a terminal would act on: models have said much of it."""
    return "".join(char if char.isprintable() else " " for char in str(value))
