"""Everything about one claim, model, task or run, as JSON; a run along a facet as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pydantic import BaseModel

from harness import home
from harness.ask import claims, models, tasks
from harness.commands import listing
from harness.errors import UnknownName
from harness.judge.curves import Curve, curves, halving_in_words
from harness.run import store
from harness.run.records import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--json", action="store_true", help="of a run along a facet, the record")


def run(options: argparse.Namespace) -> int:
    known: dict[str, BaseModel] = {**claims.load(), **models.load(), **tasks.load()}
    results = home.root() / "results"
    folders = {}
    if options.id not in known:
        for folder, one in store.runs(results):
            known[one.id], folders[one.id] = one, folder
    if options.id not in known:
        raise UnknownName("claim, model, task or run", options.id, known)
    found = known[options.id]
    if isinstance(found, claims.Claim):
        path = results / "verdicts" / found.page / f"{found.id}.json"
        if path.exists():
            print(path.read_text(encoding="utf-8"), end="")
            return 0
    if isinstance(found, Run) and found.cell.task and not options.json:
        drawn = curves(store.read_samples(folders[found.id]))
        if drawn:
            _tell(drawn)
            return 0
    listing.as_json(found.model_dump(mode="json"))
    return 0


def _tell(drawn: Sequence[Curve]) -> None:
    """The curves, one below the other, and where each halves."""
    axis = drawn[0].axis
    rows = [
        (one.name, step.at, f"{step.share.value:.1%}", span, step.share.n)
        for one in drawn
        for step in one.steps
        for span in [f"{step.share.low:.1%} to {step.share.high:.1%}"]
    ]
    listing.table(("under", axis, "accuracy", "95% interval", "items"), rows)
    for one in drawn:
        print(f"{one.name or 'accuracy'}: {halving_in_words(one)}")
