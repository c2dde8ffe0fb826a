"""Everything about one claim, model, task or run, as JSON."""

from __future__ import annotations

import argparse

from pydantic import BaseModel

from harness import home
from harness.ask import claims, models, tasks
from harness.commands import listing
from harness.errors import UnknownName
from harness.run import store


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")


def run(options: argparse.Namespace) -> int:
    known: dict[str, BaseModel] = {**claims.load(), **models.load(), **tasks.load()}
    results = home.root() / "results"
    if options.id not in known:
        known |= {run.id: run for _, run in store.runs(results)}
    if options.id not in known:
        raise UnknownName("claim, model, task or run", options.id, known)
    found = known[options.id]
    shown = found.model_dump(mode="json")
    if isinstance(found, claims.Claim):
        path = results / "verdicts" / found.page / f"{found.id}.json"
        if path.exists():
            print(path.read_text(encoding="utf-8"), end="")
            return 0
    listing.as_json(shown)
    return 0
