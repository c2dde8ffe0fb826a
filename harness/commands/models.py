"""List the models and which artifacts are here."""

from __future__ import annotations

import argparse
from typing import Any

from harness import prepare
from harness.ask import models
from harness.commands import listing


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = [
        {
            "model": model.id,
            "quantisation": artifact.quantisation,
            "weights": artifact.weights,
            "source": artifact.source.kind,
            "here": (need := prepare.need(model, artifact)).present,
            "download_bytes": need.download_bytes,
            "disk_bytes": need.disk_bytes,
        }
        for model in models.load().values()
        for artifact in model.artifacts
    ]
    if options.json:
        listing.as_json(rows)
        return 0
    shown = [
        (
            row["model"],
            row["quantisation"],
            row["weights"],
            "here" if row["here"] else f"{row['source']}, needs {listing.size(row['disk_bytes'])}",
        )
        for row in rows
    ]
    listing.table(("model", "quantisation", "weights", "artifact"), shown)
    return 0
