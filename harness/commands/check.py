"""Whether records hold together: shape, digests, counts, dates, gates, and the verdict once more.

Status 1 where one does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.check import records
from harness.check.problems import Problem
from harness.check.verdicts import Checker
from harness.commands import listing
from harness.commands.context import Context
from harness.garbage import uncollected


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "records",
        nargs="+",
        type=Path,
        metavar="RECORD",
        help="a verdict's file, a run's folder, or a folder such as results/",
    )
    parser.add_argument("--json", action="store_true")


@uncollected()
def run(options: argparse.Namespace) -> int:
    context = Context()
    checked: dict[Path, list[Problem]] = {}
    checkers: dict[Path, Checker] = {}
    found = [one for name in options.records for one in records.find(name)]
    pages = {path.parent.name for kind, path, _ in found if kind == "verdict"}
    for kind, path, results in found:
        if results not in checkers:
            checkers[results] = Checker(
                results, context.claims, context.models, context.tasks, pages
            )
        checker = checkers[results]
        check = {
            "run": checker.run,
            "verdict": checker.verdict,
            "reproduction": checker.reproduction,
        }[kind]
        checked[path] = check(path)
    failed = sum(1 for problems in checked.values() if problems)
    # A verdict repeats what is wrong with the runs it rests on.
    told = dict.fromkeys(one for problems in checked.values() for one in problems)
    if options.json:
        problems = [vars(one) for one in told]
        listing.as_json({"records": len(checked), "failed": failed, "problems": problems})
    else:
        for one in told:
            print(one)
        print(f"{len(checked)} records checked, {failed} failed")
    return 1 if failed else 0
