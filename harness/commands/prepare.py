"""Fetch or write a model's artifacts; all of them where no quantisation is named."""

from __future__ import annotations

import argparse

from harness import prepare
from harness.ask import models
from harness.commands import listing, progress
from harness.commands.context import Context
from harness.errors import HarnessError, MissingError


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
    problems = []
    for artifact in artifacts:
        name = f"{model.id} {artifact.format} {artifact.quantisation}"
        progress.say(f"{name} ({artifact.source.kind}) ..")
        try:
            done = prepare.prepare(
                model, artifact, offline=options.offline, progress=progress.steps()
            )
        except HarnessError as error:
            if len(artifacts) == 1:
                raise
            problems.append(f"{name}: {error}")
            progress.say(problems[-1])
            continue
        commit = f"  commit {done.revision}" if done.revision else ""
        print(f"{name}  {listing.size(done.bytes)}  {done.sha256}{commit}")
    if problems:
        raise MissingError(f"{len(problems)} of {len(artifacts)} artifacts can't be had")
    return 0
