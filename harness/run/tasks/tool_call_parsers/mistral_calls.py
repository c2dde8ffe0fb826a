"""Calls as Mistral's tokenizers write them, after the control token [TOOL_CALLS].

The three formats are those of versions 2 to 7, 11 and 13 of its tokenizers. The control tokens are
part of the text here, so a runtime must show them. Text before the first [TOOL_CALLS] is ignored;
what follows the last call must be nothing but the end token.
"""

from __future__ import annotations

import re

from harness.run.tasks.tool_call_parsers.json_calls import calls_of, json_at
from harness.run.tasks.tool_call_parsers.reading import Call, Unreadable, after_thought, parser

_CALLS, _ID, _ARGUMENTS, _END = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]", "</s>"
_HEAD = re.compile(r"\s*([^\s\[\]]+)\s*(?:\[CALL_ID\]\s*([^\s\[\]]+)\s*)?\[ARGS\]")


@parser
def v3(text: str) -> list[Call]:
    """Versions 2 to 7: `[TOOL_CALLS] [{"name": .., "arguments": {..}}, ..]`.

    The list must be there, and not be empty: who writes [TOOL_CALLS] means to call.
    """
    said = after_thought(text)
    if not _attempted(said):
        return []
    value, end = json_at(said, said.index(_CALLS) + len(_CALLS))
    if not isinstance(value, list) or not value:
        raise Unreadable(f"no list of calls after {_CALLS}")
    if said[end:].strip() not in ("", _END):
        raise Unreadable("text after the calls")
    return calls_of([value])


@parser
def v11(text: str) -> list[Call]:
    """Version 11: `[TOOL_CALLS]name[CALL_ID]id[ARGS]{..}`, once per call."""
    return _named(text, with_id=True)


@parser
def v13(text: str) -> list[Call]:
    """Version 13: `[TOOL_CALLS]name[ARGS]{..}`, once per call."""
    return _named(text, with_id=False)


def _attempted(text: str) -> bool:
    """Whether calls begin. Raises Unreadable for the other tokens of a call without that one."""
    if _CALLS in text:
        return True
    if any(token in text for token in (_ID, _ARGUMENTS, "[TOOL_CALL", '"arguments"')):
        raise Unreadable(f"signs of a call, but no {_CALLS}")
    return False


def _named(text: str, with_id: bool) -> list[Call]:
    said = after_thought(text)
    if not _attempted(said):
        return []
    calls = []
    at = said.index(_CALLS)
    while said.startswith(_CALLS, at):
        head = _HEAD.match(said, at + len(_CALLS))
        if head is None or bool(head[2]) is not with_id:
            raise Unreadable(f"no name{_ID + 'id' if with_id else ''}{_ARGUMENTS} after {_CALLS}")
        arguments, at = json_at(said, head.end())
        calls += calls_of([{"name": head[1], "arguments": arguments}])
    if said[at:].strip() not in ("", _END):
        raise Unreadable("text after the calls")
    return calls
