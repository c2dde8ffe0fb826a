"""Every format of tool calls: a table each, and what all of them promise on hostile text."""

from __future__ import annotations

import json
import time
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.run.tasks.tool_call_parsers import PARSERS, Call, Parsed

F = '{"name": "f", "arguments": {"a": 1}}'
G = '{"name": "g", "arguments": {}}'
CALL_F, CALL_G = Call("f", {"a": 1}), Call("g", {})

CALLS = [
    ("hermes", f"<tool_call>\n{F}\n</tool_call>\n<tool_call>\n{G}\n</tool_call>", [CALL_F, CALL_G]),
    ("smollm3_xml", f"<think>\n\n</think>\n<tool_call>{F}</tool_call>", [CALL_F]),
    ("hermes", f"<think><tool_call>{G}</tool_call>?</think><tool_call>{F}</tool_call>", [CALL_F]),
    ("hermes", f"Let me see. <tool_call>{F}", [CALL_F]),  # the end tag was the end of the answer
    ("bare_json", F, [CALL_F]),
    ("bare_json", f"<think>hm</think>\n[{F}, {G}]\n", [CALL_F, CALL_G]),
    ("pythonic", "[f(a=1), g()]", [CALL_F, CALL_G]),
    ("pythonic", " f(a=1)\n", [CALL_F]),
    ("pythonic", "[f(a=1,), g(),]", [CALL_F, CALL_G]),
    ("pythonic", "math.f(a=1)", [Call("math.f", {"a": 1})]),
    (
        "pythonic",
        "f(a='it\\'s', b=[1, -2.5, (3,)], c={'k': None, \"l\": [True]}, d=(4))",
        [Call("f", {"a": "it's", "b": [1, -2.5, [3]], "c": {"k": None, "l": [True]}, "d": 4})],
    ),
    ("pythonic", 'f(a="""x\ny""", b=r"\\d")', [Call("f", {"a": "x\ny", "b": "\\d"})]),
    ("pythonic", "f(a=')', b=\"f(c=1)\", c='#')", [Call("f", {"a": ")", "b": "f(c=1)", "c": "#"})]),
    ("pythonic", "f(a=1_000, b=1e3, c=.5)", [Call("f", {"a": 1000, "b": 1000.0, "c": 0.5})]),
    ("smollm3_python", "Sure.\n<code>\nf(a=1)\ng()\n</code> Done.", [CALL_F, CALL_G]),
    ("smollm3_python", "<code>x = f(a=1)\nprint(x)\nprint(g())</code>", [CALL_F, CALL_G]),
    ("smollm3_python", "<code>f(a=1); g()</code>", [CALL_F, CALL_G]),
    ("smollm3_python", "<code># one\nf(a=1)  # two\n</code>\n<code>\ng()", [CALL_F, CALL_G]),
    ("smollm3_python", "<code>f(a='</code>')</code>", [Call("f", {"a": "</code>"})]),
    ("mistral_v3", f"[TOOL_CALLS] [{F}, {G}]</s>", [CALL_F, CALL_G]),
    ("mistral_v3", '[TOOL_CALLS][{"name": "g", "arguments": {}, "id": "9Ae3bDc2F"}]', [CALL_G]),
    ("mistral_v3", f"I will look.[TOOL_CALLS][{F}]", [CALL_F]),
    (
        "mistral_v11",
        '[TOOL_CALLS]f[CALL_ID]9Ae3bDc2F[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]x[ARGS]{}</s>',
        [CALL_F, CALL_G],
    ),
    ("mistral_v13", '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}', [CALL_F, CALL_G]),
    ("mistral_v13", '[THINK]g?[/THINK][TOOL_CALLS]f[ARGS]{"a": 1}', [CALL_F]),
    ("mistral_v13", '[TOOL_CALLS]f[ARGS]{"a": "[TOOL_CALLS]g[ARGS]{}"}',
     [Call("f", {"a": "[TOOL_CALLS]g[ARGS]{}"})]),
]  # fmt: skip

NONE = [
    *((name, text) for name in PARSERS for text in ("", " \n", "I can't help with that.")),
    ("hermes", "<think>No tool fits.</think>None."),
    ("hermes", "<tool_call>[]</tool_call>"),
    ("bare_json", "[]"),
    ("pythonic", "[]"),
    ("pythonic", "None of the functions (there is one) fits."),
    ("smollm3_python", "<code></code>"),
    ("smollm3_python", "<code>print('no tool fits')\nprint(None)</code>"),
    ("mistral_v3", "<think>a [TOOL_CALLS] would not help</think>No."),
]

UNPARSEABLE = [
    *((name, "<think>f(a=1)") for name in PARSERS if name != "tool_call_json"),
    ("hermes", F),  # a call in another format
    ("hermes", f"<tool_call>{F} and so on</tool_call>"),
    ("bare_json", f"```json\n{F}\n```"),
    ("pythonic", "f(1)"),
    ("pythonic", "f(a=x)"),
    ("pythonic", "f(a=1 + 1)"),
    ("pythonic", "f(a=g())"),
    ("pythonic", "f(a=f'{x}')"),
    ("pythonic", "f(a=b'x')"),
    ("pythonic", "f(a={1: 2})"),
    ("pythonic", "f(a={1, 2})"),
    ("pythonic", "f(a=true)"),
    ("pythonic", "f(a=01)"),
    ("pythonic", "f(a=1, a=2)"),
    ("pythonic", "f(**{'a': 1})"),
    ("pythonic", "f(a=1) # f\nthen g()"),
    ("pythonic", "f(a=1"),
    ("pythonic", "[f(a=1)"),
    ("pythonic", "[f(a=1) g()]"),
    ("pythonic", "f(a='x\ny')"),
    ("pythonic", "f(a='\\N{no such name}')"),
    ("pythonic", "f(a='\0"),
    ("pythonic", "[ﬁ(a=1)]"),  # Python would read fi
    ("pythonic", "f(a=" + "[" * 33 + "]" * 33 + ")"),
    ("pythonic", "f(a=" + "(" * 200_000),
    ("pythonic", "f(a=" + "-" * 200_000),
    ("pythonic", "f(a=" + "1" * 5000 + ")"),
    ("smollm3_python", "f(a=1)</code>"),
    ("smollm3_python", "<code>import os</code>"),
    ("smollm3_python", "<code>for x in [1]:\n    f(a=x)</code>"),
    ("smollm3_python", "<code>f(a=1) g()</code>"),
    ("smollm3_python", "<code>x == f(a=1)</code>"),
    ("mistral_v3", "[TOOL_CALLS]"),
    ("mistral_v3", "[TOOL_CALLS][]"),
    ("mistral_v3", f"[TOOL_CALLS]{F}"),
    ("mistral_v3", f"[TOOL_CALLS][{F}] and so on"),
    ("mistral_v3", f"[{F}]"),  # the control token was lost: a runtime that hides it
    ("mistral_v3", '[TOOL_CALLS]f[ARGS]{"a": 1}'),
    ("mistral_v11", '[TOOL_CALLS]f[ARGS]{"a": 1}'),
    ("mistral_v13", '[TOOL_CALLS]f[CALL_ID]x[ARGS]{"a": 1}'),
    ("mistral_v13", f"[TOOL_CALLS][{F}]"),
    ("mistral_v13", 'f[ARGS]{"a": 1}'),
    ("mistral_v13", '[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]'),
    ("mistral_v13", "[TOOL_CALLS]f[ARGS][1]"),
    ("mistral_v13", "[TOOL_CALLS]two words[ARGS]{}"),
]


def short(text: Any) -> str:
    return ascii(text)[:40]


@pytest.mark.parametrize(("name", "text", "calls"), CALLS, ids=short)
def test_calls(name: str, text: str, calls: list[Call]) -> None:
    assert PARSERS[name](text) == Parsed("calls", tuple(calls))


@pytest.mark.parametrize(("name", "text"), NONE, ids=short)
def test_no_call_attempted(name: str, text: str) -> None:
    assert PARSERS[name](text) == Parsed("none")


@pytest.mark.parametrize(("name", "text"), UNPARSEABLE, ids=short)
def test_an_attempt_that_cannot_be_read(name: str, text: str) -> None:
    parsed = PARSERS[name](text)
    assert (parsed.state, parsed.calls) == ("unparseable", ())
    assert parsed.problem


def test_every_format_is_in_every_table() -> None:
    for table in (CALLS, NONE, UNPARSEABLE):
        listed = {str(row[0]) for row in table}
        assert set(PARSERS) - listed <= {"tool_call_json", "smollm3_xml"}  # the one has a file


PIECES = [
    *("<tool_call>", "</tool_call>", "<code>", "</code>", "<think>", "</think>", "print("),
    *("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]", "</s>", "f(", "g.h(", "a=", ")", "(", "x", "_1"),
    *("[", "]", "{", "}", ",", ":", '"name"', '"arguments"', '"f"', "'", '"', '"""', "\\", "#"),
    *("{}", "[]", "1", "-", ".", "e9", "NaN", "None", "True", "null", " ", "\n", ";", "\0"),
    *("ﬁ", "\ud800", F, G, "f(a=1)", "g()", "'s'", "[{", "}]"),
]
HOSTILE = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=50)
@given(text=HOSTILE)
def test_any_text_has_one_of_three_states_and_no_invented_call(name: str, text: str) -> None:
    parsed = PARSERS[name](text)
    assert (parsed.state == "calls") == bool(parsed.calls)
    assert (parsed.state == "unparseable") == bool(parsed.problem)
    rest = text
    for call in parsed.calls:
        for written in (call.name, *call.arguments):  # in this order, none of them twice
            assert written in rest
            rest = rest[rest.index(written) + len(written) :]
        for value in call.arguments.values():
            assert not isinstance(value, str) or value in text or "\\" in text


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}(\.[a-z]{1,3})?", fullmatch=True)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
WRITTEN = st.lists(
    st.builds(Call, NAMES, st.dictionaries(KEYS, VALUES, max_size=3)), min_size=1, max_size=4
)


def as_python(call: Call) -> str:
    arguments = ", ".join(f"{key}={value!r}" for key, value in call.arguments.items())
    return f"{call.name}({arguments})"


def as_json(call: Call) -> str:
    return json.dumps({"name": call.name, "arguments": call.arguments})


def written(name: str, calls: list[Call]) -> str:
    """The calls as a model that masters the format would write them."""
    if name == "pythonic":
        return f"[{', '.join(map(as_python, calls))}]"
    if name == "smollm3_python":
        return f"<code>{chr(10).join(map(as_python, calls))}\n</code>"
    if name == "mistral_v3":
        return f"[TOOL_CALLS][{', '.join(map(as_json, calls))}]</s>"
    if name.startswith("mistral"):
        id_ = "[CALL_ID]123456789" if name == "mistral_v11" else ""
        parts = (f"{call.name}{id_}[ARGS]{json.dumps(call.arguments)}" for call in calls)
        return "".join(f"[TOOL_CALLS]{part}" for part in parts) + "</s>"
    if name == "bare_json":
        return f"[{', '.join(map(as_json, calls))}]"
    return "\n".join(f"<tool_call>\n{as_json(call)}\n</tool_call>" for call in calls)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=50)
@given(calls=WRITTEN)
def test_what_was_written_is_read(name: str, calls: list[Call]) -> None:
    assert PARSERS[name](written(name, calls)) == Parsed("calls", tuple(calls))


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=50)
@given(calls=WRITTEN, data=st.data())
def test_a_cut_off_answer_gives_no_call_that_is_not_whole(
    name: str, calls: list[Call], data: st.DataObject
) -> None:
    whole = written(name, calls)
    parsed = PARSERS[name](whole[: data.draw(st.integers(0, len(whole)))])
    assert parsed.calls == tuple(calls[: len(parsed.calls)])


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "piece",
    [
        "<code>",
        "f()\n",
        "<code>f()\n",
        "[TOOL_CALLS]",
        "[TOOL_CALLS]f",
        "f(a=",
        "'",
        "<think>",
        "x",
    ],
)
def test_time_grows_with_length_only(name: str, piece: str) -> None:
    text = piece * (400_000 // len(piece))
    start = time.perf_counter()
    for whole in (text, f"<code>{text}", f"[TOOL_CALLS]{text}", f"f(a='{text}"):
        PARSERS[name](whole)
    assert time.perf_counter() - start < 10


def test_an_escape_unknown_to_python_is_kept_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert PARSERS["pythonic"]("f(a='\\d')").calls == (Call("f", {"a": "\\d"}),)
