"""Fetch or write a model's artifacts; all of them where no quantisation is named."""

from __future__ import annotations

import argparse

from harness import prepare
from harness.ask import models
from harness.commands import listing, progress
from harness.commands.context import Context


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="id, checkpoint or a name used on a page")
    parser.add_argument("--quantisation", metavar="Q")
    parser.add_argument("--offline", action="store_true", help="fetch nothing")


def run(options: argparse.Namespace) -> int:
    model = models.find(Context().models, options.model)
    artifacts = model.artifacts
    if options.quantisation:
        artifacts = [model.artifact(options.quantisation)]
    if licence := model.facts.get("licence"):
        progress.say(f"{model.name}: licence {licence.value}, {licence.source}")
    for artifact in artifacts:
        progress.say(f"{model.id} {artifact.quantisation} ({artifact.source.kind}) ..")
        done = prepare.prepare(model, artifact, offline=options.offline, progress=progress.steps())
        commit = f"  commit {done.revision}" if done.revision else ""
        print(
            f"{model.id} {artifact.quantisation}  {listing.size(done.bytes)}  {done.sha256}{commit}"
        )
    return 0
