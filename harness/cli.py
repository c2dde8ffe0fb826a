"""The command `harness`. Knows the commands' names only: each is imported when it is called."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from importlib import import_module

from harness import __version__
from harness.errors import HarnessError, UnknownName

COMMANDS = {
    "verify": "plan, prepare, run, judge and publish; goes on where it stopped",
    "plan": "what verify would run: cells, downloads, disk, memory, minutes",
    "prepare": "fetch or write a model's artifacts",
    "run": "measure one cell",
    "judge": "stored runs to verdicts",
    "check": "whether stored records hold together",
    "reproduce": "repeat a verdict's evidence here and compare",
    "publish": "verdicts to pages with their evidence",
    "attach": "evidence into a comparison page of somebody else's",
    "compare": "two runs, paired where possible",
    "claims": "list the claims and their rules",
    "models": "list the models and which artifacts are here",
    "tasks": "list the tasks",
    "runs": "list the stored runs",
    "query": "ask the stored records in SQL",
    "show": "everything about one claim, model, task or run",
    "doctor": "what this machine can run, what is missing, and the command that mends it",
}

_EPILOG = """exit status: 0 done; 1 a verdict or gate failed where --fail-on asks for it;
2 your mistake; 3 something is missing on this machine; 70 a bug of ours; 130 stopped with Ctrl-C"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a quote's dash shows a ?
            stream.reconfigure(errors="replace")
    try:
        try:
            return _dispatch(words)
        finally:
            sys.stdout.flush()  # here, where a reader who left can still be told from a bug
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        # The reader of our output left (`harness claims | head`). Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nharness: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("harness: this is a bug of ours; please report what stands above", file=sys.stderr)
        return 70


def _dispatch(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Tells whether what a comparison page claims about an on-device model is true.",
        epilog=_EPILOG,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"claimbench {__version__}")
    listing = "\n".join(f"  {name:9} {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", metavar="COMMAND", help="one of:\n" + listing)
    # Only our own options stand before the command; the rest belongs to it.
    chosen = parser.parse_args(words[:1] or ["--help"]).command
    if chosen not in COMMANDS:
        raise UnknownName("command", chosen, COMMANDS)
    module = import_module(f"harness.commands.{chosen}")
    own = argparse.ArgumentParser(prog=f"harness {chosen}", description=module.__doc__)
    module.arguments(own)
    status: int = module.run(own.parse_args(words[1:]))
    return status
