"""List the claims and their rules."""

from __future__ import annotations

import argparse

from harness.ask import claims
from harness.ask.claims import Claim
from harness.commands import listing
from harness.errors import UnknownName
from harness.metrics import METRICS


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="PAGE or CLAIM")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    known = claims.load()
    chosen = claims.choose(known, options.names, "full") if known else []
    if not chosen:
        raise UnknownName("claim", " ".join(options.names), known)
    if options.json:
        listing.as_json([claim.model_dump(mode="json") for claim in chosen])
        return 0
    listing.table(
        ("claim", "suite", "kind", "rule", "quote"),
        [(one.id, one.suite, one.kind, rule(one), _short(one.quote)) for one in chosen],
    )
    return 0


def rule(claim: Claim) -> str:
    """The rule in a line; a dash for what can't be tested."""
    if claim.rule is None:
        return "- (untestable)"
    metric, op, threshold = METRICS[claim.rule.metric], claim.rule.op, claim.rule.threshold
    margin = f" within {claim.rule.margin:.0%}" if claim.rule.margin else ""
    return f"{metric.name} {op} {metric.show(threshold)}{margin}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
