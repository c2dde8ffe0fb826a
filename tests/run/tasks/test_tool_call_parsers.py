"""The parser of SmolLM2's format, whose rules the other JSON formats share."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UnknownName
from harness.run.tasks import tool_call_parsers
from harness.run.tasks.tool_call_parsers import Call, Parsed
from harness.run.tasks.tool_call_parsers.json_calls import tool_call_json

F = '{"name": "f", "arguments": {"a": 1}}'
G = '{"name": "g", "arguments": {}}'
CALL_F, CALL_G = Call("f", {"a": 1}), Call("g", {})

CALLS = [
    (f"<tool_call>[{F}]</tool_call>", [CALL_F]),
    (f"<tool_call>[\n{F},\n{G}\n]</tool_call>", [CALL_F, CALL_G]),
    (f"<tool_call>\n{F}\n</tool_call>\n<tool_call>\n{G}\n</tool_call>", [CALL_F, CALL_G]),
    (f"<tool_call>[]</tool_call><tool_call>{G}</tool_call>", [CALL_G]),
    (f"Sure! <tool_call>[{F}]</tool_call> Done.", [CALL_F]),
    (f"<tool_call>[{F}]", [CALL_F]),  # the end tag was the end of the answer
    (f"<tool_call>[{F}]\n", [CALL_F]),
    (f"  [{F}]\n", [CALL_F]),
    (F, [CALL_F]),
    (
        '<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>',
        [Call("f", {"a": "</tool_call>"})],
    ),
    (
        '<tool_call>{"name": "f", "arguments": {"a": "<tool_call>"}}</tool_call>',
        [Call("f", {"a": "<tool_call>"})],
    ),
    ('{"name": "f", "arguments": {"a": {"b": [1, {"c": null}]}}}',
     [Call("f", {"a": {"b": [1, {"c": None}]}})]),
    ('{"name": "f", "arguments": {}, "id": 7}', [Call("f", {})]),
    ('{"name": "f", "name": "g", "arguments": {}}', [CALL_G]),
]  # fmt: skip

NONE = [
    "",
    "   \n",
    "None of the functions can be used.",
    "<tool_call>[]</tool_call>",
    "<tool_call>\n[ ]\n</tool_call>",
    "[]",
    'The "name" of the game is call.',
    "42",
    '"f"',
]

UNPARSEABLE = [
    "<tool_call>",
    "<tool_call></tool_call>",
    "<tool_call>f(a=1)</tool_call>",
    f"<tool_call>[{F}",  # cut off
    f"<tool_call>[{F},\n... (more tool calls as required)\n]</tool_call>",  # the prompt's example
    f"<tool_call>[{F}] and so on</tool_call>",
    f"<tool_call>[{F}]</tool_call><tool_call>[{G}</tool_call>",  # no half credit
    f"<tool_call><tool_call>[{F}]</tool_call>",
    f"[{F}]</tool_call>",
    f"Here you are: {F}",
    f"```json\n[{F}]\n```",
    f"{F}\n{G}",
    "[1, 2]",
    "[[]]",
    "{}",
    "{'name': 'f', 'arguments': {}}",
    '{"name": "f"}',
    '{"name": 1, "arguments": {}}',
    '{"name": "f", "arguments": [1]}',
    '{"name": "f", "arguments": "{\\"a\\": 1}"}',
    '{"name": "f", "arguments": null}',
    '{"name": "f", "arguments": {"a": NaN}}',
    '{"name": "f", "arguments": {"a": -Infinity}}',
    '{"name": "f", "arguments": {"a": 01}}',
    '{"name": "f", "arguments": {"a": ' + "1" * 5000 + "}}",
    '{"name": "f", "arguments": {"a": ' + "[" * 40 + "]" * 40 + "}}",
    "[" * 100_000,
    '{"a":' * 100_000,
    "<tool_call>" * 50_000,
    "[TOOL_CALLS][]",
    "x" * 1_000_001,
]


@pytest.mark.parametrize(("text", "calls"), CALLS)
def test_calls(text: str, calls: list[Call]) -> None:
    assert tool_call_json(text) == Parsed("calls", tuple(calls))


@pytest.mark.parametrize("text", NONE)
def test_no_call_attempted(text: str) -> None:
    assert tool_call_json(text) == Parsed("none")


@pytest.mark.parametrize("text", UNPARSEABLE, ids=lambda text: text[:40])
def test_an_attempt_that_cannot_be_read(text: str) -> None:
    parsed = tool_call_json(text)
    assert parsed.state == "unparseable"
    assert parsed.calls == ()
    assert parsed.problem


PIECES = [
    *("<tool_call>", "</tool_call>", "[", "]", "{", "}", ",", ":", '"name"', '"arguments"', '"f"'),
    *("{}", "[]", "1", "-", "NaN", "null", " ", "\n", '"', "\\", "\\ud800", F, G),
]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


@given(HOSTILE)
def test_any_text_has_one_of_three_states_and_no_invented_call(text: str) -> None:
    parsed = tool_call_json(text)
    assert (parsed.state == "calls") == bool(parsed.calls)
    assert (parsed.state == "unparseable") == bool(parsed.problem)
    for call in parsed.calls:
        assert json.dumps(call.name) in text
        assert '"arguments"' in text


NAMES = st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
WRITTEN = st.lists(
    st.builds(Call, NAMES, st.dictionaries(st.text(), VALUES, max_size=3)), max_size=4
)


@given(WRITTEN, st.booleans(), st.booleans(), st.booleans())
def test_what_was_written_is_read(
    calls: list[Call], tagged: bool, separate: bool, ascii_only: bool
) -> None:
    objects = [
        json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=ascii_only)
        for call in calls
    ]
    texts = objects if separate and tagged else [f"[{', '.join(objects)}]"]
    text = "\n".join(f"<tool_call>{part}</tool_call>" if tagged else part for part in texts)
    assert tool_call_json(text) == (Parsed("calls", tuple(calls)) if calls else Parsed("none"))


@given(WRITTEN.filter(bool), st.data())
def test_a_cut_off_answer_gives_no_call(calls: list[Call], data: st.DataObject) -> None:
    whole = json.dumps([{"name": call.name, "arguments": call.arguments} for call in calls])
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert tool_call_json(f"<tool_call>{whole[:cut]}").state == "unparseable"


@pytest.mark.parametrize("piece", ["<tool_call>", "[", '{"a":', "<tool_call>[]</tool_call>", "</"])
def test_time_grows_with_length_only(piece: str) -> None:
    text = piece * (900_000 // len(piece))
    start = time.perf_counter()
    tool_call_json(text)
    assert time.perf_counter() - start < 5


def test_unknown_parser() -> None:
    with pytest.raises(UnknownName, match="tool_call_json"):
        tool_call_parsers.find("tool_call_jsno")
