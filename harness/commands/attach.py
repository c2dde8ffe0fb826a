"""Evidence into a comparison page of your own: where you marked a place, and beside each quote.

Marks: <div data-claimbench="CLAIM"></div> takes the whole evidence, <!-- claimbench:CLAIM --> a
badge. Attaching again replaces what was attached before.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.ask import claims
from harness.commands import progress
from harness.commands.context import Context
from harness.errors import UserError
from harness.judge import judge
from harness.publish import view
from harness.publish.attach import pages
from harness.publish.attach.fragments import Fragments, base_of
from harness.run import store


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="*",
        metavar="PAGE or CLAIM",
        help="whose quotes are looked for; all where none is named",
    )
    parser.add_argument("--page", type=Path, required=True, metavar="FILE", help=".html or .json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: stdout")
    parser.add_argument(
        "--base",
        default="",
        metavar="URL",
        help="where the published site is, as seen from the page (default: beside it)",
    )


def run(options: argparse.Namespace) -> int:
    page, out, base = options.page, options.out, base_of(options.base)
    if out and out.resolve() == page.resolve():
        raise UserError(f"--out {out}: is the page itself; name another file")
    context = Context()
    chosen = claims.choose(context.claims, options.names, "full")
    verdicts = judge.read(context.results, context.claims.values())
    machines = {machine.id: machine for machine in store.machines(context.results)}
    fragments = Fragments((view.claim(one, machines, []) for one in verdicts), base)
    made, report = pages.attach(page, chosen, fragments)
    if out:
        store.write_whole(out, made)
    else:
        sys.stdout.buffer.write(made)
    for told in (report.sentence(), *report.left):
        progress.say(told)
    return 0
