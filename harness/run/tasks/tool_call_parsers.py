"""Reads tool calls out of what a model wrote. The text is data: nothing in it is evaluated.

A parser tells three things apart, because they are three different results: calls, no call
attempted, and an attempt that cannot be read. It never mends an attempt and never takes a call out
of prose, so it finds no call that the model did not write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from harness.errors import UnknownName

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_SPACE = re.compile(r"[ \t\r\n]*")
# Signs of an attempt in a text that is not a well-formed one.
_TRACES = ("tool_call", "TOOL_CALL", '"arguments"')
# Arguments are compared and printed by recursive code; real ones are a few levels deep.
_MAX_DEPTH = 32
_MAX_CHARS = 1_000_000


@dataclass(frozen=True)
class Call:
    """One call: the tool's name and its arguments, as JSON gave them."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """`state` is "calls" (at least one), "none" or "unparseable"; only the last has a `problem`."""

    state: Literal["calls", "none", "unparseable"]
    calls: tuple[Call, ...] = ()
    problem: str = ""


class _Unreadable(Exception):
    """An attempt that is no list of calls; the message says why."""


def tool_call_json(text: str) -> Parsed:
    """SmolLM2's and Hermes' format: JSON between <tool_call> and </tool_call>, or JSON alone.

    The JSON is one call, {"name": .., "arguments": {..}}, or a list of them; an empty list is "no
    call", as SmolLM2's prompt asks for. Several blocks add up. Awkward cases:

    - Text around the blocks is ignored; JSON without tags must be the whole text, or else it is
      unparseable, and so is any other text that begins with [ or {.
    - The last </tool_call> may be missing if the JSON before it is complete.
    - One bad block makes the whole answer unparseable: there is no half credit.
    - `arguments` must be an object; NaN, comments, single quotes and nesting beyond 32 levels are
      no JSON here. A key given twice has its last value, as in the makers' own parser.
    """
    if len(text) > _MAX_CHARS:
        return Parsed("unparseable", problem=f"more than {_MAX_CHARS} characters")
    try:
        values = _blocks(text) if _OPEN in text else _bare(text)
        calls = tuple(call for value in values for call in _calls(value))
    except _Unreadable as error:
        return Parsed("unparseable", problem=str(error))
    return Parsed("calls", calls) if calls else Parsed("none")


PARSERS: dict[str, Callable[[str], Parsed]] = {"tool_call_json": tool_call_json}


def find(name: str) -> Callable[[str], Parsed]:
    """The parser of this name. Raises UnknownName."""
    if name not in PARSERS:
        raise UnknownName("tool call parser", name, PARSERS)
    return PARSERS[name]


def _blocks(text: str) -> list[Any]:
    """The JSON of every tagged block. JSON is read before the end tag is sought: a string in it may
    hold one."""
    values = []
    start = text.find(_OPEN)
    while start >= 0:
        value, end = _json_at(text, start + len(_OPEN))
        if end < len(text) and not text.startswith(_CLOSE, end):
            raise _Unreadable(f"no {_CLOSE} after the JSON")
        values.append(value)
        start = text.find(_OPEN, end)
    return values


def _bare(text: str) -> list[Any]:
    stripped = text.strip()
    if stripped.startswith(("[", "{")):
        value, end = _json_at(stripped, 0)
        if end < len(stripped):
            raise _Unreadable("text after the JSON")
        return [value]
    if any(trace in text for trace in _TRACES):
        raise _Unreadable(f"signs of a call, but no {_OPEN} and not JSON alone")
    return []


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _json_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at `start` and where what follows it begins, white space skipped."""
    try:
        value, end = _DECODER.raw_decode(text, _skip_space(text, start))
    except RecursionError as error:
        raise _Unreadable("nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, or an integer of more digits than Python reads
        raise _Unreadable(str(error)) from error
    if _deeper_than(value, _MAX_DEPTH):
        raise _Unreadable("nested too deeply")
    return value, _skip_space(text, end)


def _skip_space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    return found.end() if found else start


def _deeper_than(value: Any, limit: int) -> bool:
    """Level by level, without recursion."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _calls(value: Any) -> list[Call]:
    return [_call(entry) for entry in (value if isinstance(value, list) else [value])]


def _call(entry: Any) -> Call:
    if not isinstance(entry, dict):
        raise _Unreadable(f"a call must be an object, not {type(entry).__name__}")
    name, arguments = entry.get("name"), entry.get("arguments")
    if not isinstance(name, str):
        raise _Unreadable("a call without a name")
    if not isinstance(arguments, dict):
        raise _Unreadable("a call whose arguments are no object")
    return Call(name, arguments)
