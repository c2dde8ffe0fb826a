"""Calls written as JSON, {"name": .., "arguments": {..}}: with tags around them, or alone.

In each format the JSON is one call or a list of them. `arguments` must be an object; NaN, comments,
single quotes and nesting beyond 32 levels are no JSON here. A key given twice has its last value,
as in the makers' own parsers.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from harness.run.tasks.tool_call_parsers.reading import (
    MAX_DEPTH,
    Call,
    Unreadable,
    after_thought,
    parser,
)

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_SPACE = re.compile(r"[ \t\r\n]*")
# Signs of an attempt in a text that is not a well-formed one.
_TRACES = ("tool_call", "TOOL_CALL", '"arguments"')


@parser
def tool_call_json(text: str) -> list[Call]:
    """SmolLM2's format: JSON between <tool_call> and </tool_call>, or JSON alone.

    An empty list is "no call", as SmolLM2's prompt asks for. Several blocks add up. Awkward cases:

    - Text around the blocks is ignored; JSON without tags must be the whole text, or else it is
      unparseable, and so is any other text that begins with [ or {.
    - The last </tool_call> may be missing if the JSON before it is complete.
    - One bad block makes the whole answer unparseable: there is no half credit.
    """
    return calls_of(_blocks(text) if _OPEN in text else _alone(text))


@parser
def hermes(text: str) -> list[Call]:
    """Hermes' and SmolLM3's format: as above, after a thought, and the tags must be there.

    JSON without tags is an attempt at a call in another format, so it is unparseable.
    """
    said = after_thought(text)
    if _OPEN in said:
        return calls_of(_blocks(said))
    _refuse_traces(said, f"no {_OPEN}")
    return []


@parser
def bare_json(text: str) -> list[Call]:
    """JSON alone, after a thought: what a prompt without a format of its own asks for."""
    return calls_of(_alone(after_thought(text)))


def calls_of(values: list[Any]) -> list[Call]:
    """The calls that JSON values stand for, each one call or a list. Raises Unreadable."""
    return [
        _call(entry)
        for value in values
        for entry in (value if isinstance(value, list) else [value])
    ]


def _blocks(text: str) -> list[Any]:
    """The JSON of every tagged block. JSON is read before the end tag is sought: a string in it may
    hold one."""
    values = []
    start = text.find(_OPEN)
    while start >= 0:
        value, end = json_at(text, start + len(_OPEN))
        if end < len(text) and not text.startswith(_CLOSE, end):
            raise Unreadable(f"no {_CLOSE} after the JSON")
        values.append(value)
        start = text.find(_OPEN, end)
    return values


def _alone(text: str) -> list[Any]:
    stripped = text.strip()
    if stripped.startswith(("[", "{")):
        value, end = json_at(stripped, 0)
        if end < len(stripped):
            raise Unreadable("text after the JSON")
        return [value]
    _refuse_traces(text, f"no {_OPEN} and not JSON alone")
    return []


def _refuse_traces(text: str, why: str) -> None:
    if any(trace in text for trace in _TRACES):
        raise Unreadable(f"signs of a call, but {why}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def json_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at `start` and where what follows it begins, white space skipped.

    Raises Unreadable.
    """
    try:
        value, end = _DECODER.raw_decode(text, _skip_space(text, start))
    except RecursionError as error:
        raise Unreadable("nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, or an integer of more digits than Python reads
        raise Unreadable(str(error)) from error
    if _deeper_than(value, MAX_DEPTH):
        raise Unreadable("nested too deeply")
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


def _call(entry: Any) -> Call:
    if not isinstance(entry, dict):
        raise Unreadable(f"a call must be an object, not {type(entry).__name__}")
    name, arguments = entry.get("name"), entry.get("arguments")
    if not isinstance(name, str):
        raise Unreadable("a call without a name")
    if not isinstance(arguments, dict):
        raise Unreadable("a call whose arguments are no object")
    return Call(name, arguments)
