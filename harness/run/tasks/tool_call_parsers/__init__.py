"""Reads tool calls out of what a model wrote. The text is data: nothing in it is evaluated.

A parser tells three things apart, because they are three different results: calls, no call
attempted, and an attempt that cannot be read. It never mends an attempt and never takes a call out
of prose, so it finds no call that the model did not write, and it never raises.

A new format is one function from text to `Parsed` and one line in `PARSERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import UnknownName
from harness.run.tasks.tool_call_parsers import json_calls, mistral_calls, python_calls
from harness.run.tasks.tool_call_parsers.reading import Call, Parsed

__all__ = ["PARSERS", "Call", "Parsed", "find"]

PARSERS: dict[str, Callable[[str], Parsed]] = {
    "tool_call_json": json_calls.tool_call_json,
    "hermes": json_calls.hermes,
    "smollm3_xml": json_calls.hermes,  # SmolLM3's xml_tools are Hermes' tags
    "bare_json": json_calls.bare_json,
    "smollm3_python": python_calls.smollm3_python,
    "pythonic": python_calls.pythonic,
    "mistral_v3": mistral_calls.v3,
    "mistral_v11": mistral_calls.v11,
    "mistral_v13": mistral_calls.v13,
}


def find(name: str) -> Callable[[str], Parsed]:
    """The parser of this name. Raises UnknownName."""
    if name not in PARSERS:
        raise UnknownName("tool call parser", name, PARSERS)
    return PARSERS[name]
