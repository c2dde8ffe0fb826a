"""What every parser of tool calls answers with, and the limits that all of them keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

# Arguments are compared and printed by recursive code; real ones are a few levels deep.
MAX_DEPTH = 32
MAX_CHARS = 1_000_000

_THOUGHTS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))


@dataclass(frozen=True)
class Call:
    """One call: the tool's name and its arguments, of the types that JSON has."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """`state` is "calls" (at least one), "none" or "unparseable"; only the last has a `problem`."""

    state: Literal["calls", "none", "unparseable"]
    calls: tuple[Call, ...] = ()
    problem: str = ""


class Unreadable(Exception):
    """An attempt that is no list of calls; the message says why."""


def parser(read: Callable[[str], list[Call]]) -> Callable[[str], Parsed]:
    """Makes a parser of a function that returns the calls of a text or raises Unreadable."""

    @wraps(read)
    def parse(text: str) -> Parsed:
        if len(text) > MAX_CHARS:
            return Parsed("unparseable", problem=f"more than {MAX_CHARS} characters")
        try:
            calls = tuple(read(text))
        except Unreadable as error:
            return Parsed("unparseable", problem=str(error))
        return Parsed("calls", calls) if calls else Parsed("none")

    return parse


def after_thought(text: str) -> str:
    """`text` without the thought that it begins with: calls considered in it were not made."""
    stripped = text.lstrip()
    for opening, closing in _THOUGHTS:
        if stripped.startswith(opening):
            _, closed, rest = stripped.partition(closing)
            if not closed:
                raise Unreadable("the thought does not end")
            return rest
    return text
