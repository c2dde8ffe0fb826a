"""Stored verdicts to pages with their evidence, JSON and records; readable from any folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness import home
from harness.commands import listing, progress
from harness.commands.context import Context
from harness.judge import judge
from harness.publish import counts
from harness.publish.site import publish
from harness.run import store


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: site/ in the checkout")


def run(options: argparse.Namespace) -> int:
    context = Context()
    out = options.out or home.root() / "site"
    verdicts = judge.read(context.results, context.claims.values())
    machines, runs = store.machines(context.results), store.runs(context.results)
    publish(context.pages, verdicts, machines, context.results, out, runs)
    rows = counts.by_kind((one.claim.kind, one.outcome) for one in verdicts)
    listing.table(counts.HEADS, [row.cells for row in rows])
    progress.say(f"page: {out / 'index.html'}")
    return 0
