"""Every error that the harness raises on purpose.

    HarnessError
    ├── UserError            exit 2: the request or a file is wrong; says what to write instead
    │   ├── UnknownName      a name that is in no registry; carries the nearest names
    │   └── BadFile          a YAML, JSON or GGUF file that cannot be read; names file, line, field
    ├── MissingError         exit 3: this machine lacks something; says the command that mends it
    │   └── NotEnough        disk or memory for a cell; carries both figures
    └── WorkerError          a worker process ended without an answer; becomes a sample's cause

Anything else that reaches the command line is a bug of ours and exits with 70.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """An error whose message is meant for the user; shown without a traceback."""

    status = 70


class UserError(HarnessError):
    """The user's mistake."""

    status = 2


class UnknownName(UserError):
    """`name` is not one of `known`; the message offers the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:5]
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is no {kind} at all"
        super().__init__(f"unknown {kind} '{name}': {hint}")


class BadFile(UserError):
    """A file that cannot be used as it is."""


class MissingError(HarnessError):
    """Something that this machine lacks."""

    status = 3


class NotEnough(MissingError):
    """Not enough of `what` (disk, memory): both figures in bytes."""

    def __init__(self, what: str, needed: int, there: int, advice: str) -> None:
        gib = 1 << 30
        figures = f"{needed / gib:.2f} GiB needed, {there / gib:.2f} GiB there"
        super().__init__(f"not enough {what}: {figures}; {advice}")


class WorkerError(HarnessError):
    """A worker ended without an answer. `cause` is one of `harness.run.records.CAUSES`."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail
