"""Stored runs to verdicts. The same records give the same bytes on any machine."""

from __future__ import annotations

import argparse

from harness.commands import listing
from harness.commands.context import Context
from harness.commands.verify import judged


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    verdicts = judged(Context())
    if options.json:
        listing.as_json([verdict.model_dump(mode="json") for verdict in verdicts])
        return 0
    rows = [(one.claim.id, one.outcome, one.reason[:90]) for one in verdicts]
    listing.table(("claim", "verdict", "because"), rows)
    return 0
