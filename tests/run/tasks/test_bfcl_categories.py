"""All of BFCL's single-turn categories: their rows, and our verdicts against its own checker's."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bfcl_reference import given_value, other_values

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, bfcl_languages, tool_calls

ROOT = Path(__file__).parents[3]
CATEGORIES = {
    name: task for name, task in tasks.load(ROOT / "tasks").items() if task.kind == "tool_calls"
}
ANSWERED = [
    name
    for name, task in CATEGORIES.items()
    if task.options.expects == "answers" and name != "bfcl_simple_python"
]
Arguments = dict[str, Any]
Checker = Callable[[Item, list[dict[str, Any]]], bool]


def written(calls: list[dict[str, Any]]) -> str:
    return f"<tool_call>{json.dumps(calls)}</tool_call>"


def test_all_thirteen_categories_are_here_with_one_prompt() -> None:
    assert len(CATEGORIES) == 13
    assert sum(task.rows.available for task in CATEGORIES.values()) == 3641
    assert len({task.prompt for task in CATEGORIES.values()}) == 1


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_row_becomes_an_item(wheel: Path, name: str) -> None:
    task = CATEGORIES[name]
    items = tool_calls.items(task, wheel, task.rows.available)
    assert len({item.id for item in items}) == task.rows.available
    for item in items:
        roles = [message["role"] for message in item.messages]
        assert roles[0] == "system" and roles[-1] == "user"
        assert all(one != after for one, after in itertools.pairwise(roles))
        offered = json.loads(item.messages[0]["content"].split("<tools>")[1].split("</tools>")[0])
        assert [one["function"]["name"] for one in offered] == [
            function["name"] for function in item.payload["functions"]
        ]


def test_arguments_in_another_language_are_asked_for_as_text(wheel: Path) -> None:
    task = CATEGORIES["bfcl_simple_javascript"]
    for item in tool_calls.items(task, wheel, task.rows.available):
        offered = json.loads(item.messages[0]["content"].split("<tools>")[1].split("</tools>")[0])
        for schema in offered[0]["function"]["parameters"]["properties"].values():
            assert schema["type"] == "string"
            assert "A string with the JavaScript source of a" in schema["description"]


def as_source(value: Any, schema: dict[str, Any], language: str) -> Any:
    """How a model that knows the language writes an accepted value."""
    if language == "python":
        return value
    kind = schema["type"]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        inner = schema.get("items", {})
        parts = [as_source(one, inner, language) for one in value]
        if inner.get("type") == "String":
            quoted = language == "javascript" or kind == "ArrayList"
            parts = [f'"{part}"' if quoted else part for part in parts]
        return {
            "ArrayList": "new ArrayList<Object>(Arrays.asList({}))",
            "Array": "new Object[]{{{}}}",
        }.get(kind, "[{}]").format(", ".join(map(str, parts)))
    if isinstance(value, dict):
        pairs = value.items()
        if language == "java":
            puts = " ".join(f'put("{key}", {json.dumps(one)});' for key, one in pairs)
            return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
        return "{" + ", ".join(f"{key}: {json.dumps(one)}" for key, one in pairs) + "}"
    return str(value) + {"long": "L", "float": "f" if language == "java" else ""}.get(kind, "")


def right_calls(item: Item) -> list[dict[str, Any]]:
    """One accepted call for each expectation."""
    language = item.payload.get("language", "python")
    functions = {function["name"]: function for function in item.payload["functions"]}
    calls = []
    for entry in item.payload["expected"]:
        ((name, key),) = entry.items()
        schemas = functions[name]["parameters"]["properties"]
        required = functions[name]["parameters"]["required"]
        picked = {
            parameter: given_value(next((one for one in accepted if one != ""), ""))
            for parameter, accepted in key.items()
        }
        arguments = {
            parameter: as_source(value, schemas[parameter], language)
            for parameter, value in picked.items()
            if parameter in schemas and (value != "" or parameter in required)
        }
        calls.append({"name": name, "arguments": arguments})
    return calls


def answers_like(item: Item, draw: random.Random) -> Iterator[list[dict[str, Any]]]:
    """The right calls, and some that are nearly right."""
    right = right_calls(item)
    yield right
    yield right[::-1]
    yield draw.sample(right, len(right))
    yield right + right[:1]
    yield right[1:]
    yield [right[0]] * len(right)
    for _ in range(4):
        at = draw.randrange(len(right))
        arguments = dict(right[at]["arguments"])
        name = draw.choice([*arguments, "unknown"])
        value = arguments.pop(name, 1)
        if draw.random() < 0.8:
            arguments[name] = draw.choice(list(other_values(value)))
        yield [*right[:at], {**right[at], "arguments": arguments}, *right[at + 1 :]]


@pytest.mark.parametrize("name", ANSWERED)
def test_agreement_with_bfcl_on_every_category(reference: Checker, wheel: Path, name: str) -> None:
    task, draw = CATEGORIES[name], random.Random(name)
    seen: Counter[bool] = Counter()
    for item in tool_calls.items(task, wheel, min(task.rows.available, 400)):
        for calls in answers_like(item, draw):
            try:
                theirs = reference(item, calls)
            except (TypeError, AttributeError, KeyError, OverflowError):
                theirs = False  # theirs crashes where ours must say no
            seen[theirs] += 1
            assert tool_calls.score(item, written(calls)).by_other_rules["bfcl"] is theirs, calls
    assert seen[True] and seen[False]


# Their key asks for what their rule can't accept: a parameter that the function doesn't have, one
# that must be given and accepts nothing, a number in a Java list of any type.
UNANSWERABLE = {
    "live_multiple_862-181-3",
    "live_multiple_964-207-0",
    "live_simple_106-63-0",
    "live_simple_112-68-0",
    "simple_java_36",
    "simple_java_65",
}


@pytest.mark.parametrize("name", [*ANSWERED, "bfcl_simple_python"])
def test_every_row_but_six_has_a_right_answer(wheel: Path, name: str) -> None:
    task = CATEGORIES[name]
    for item in tool_calls.items(task, wheel, task.rows.available):
        right = tool_calls.score(item, written(right_calls(item))).correct
        assert right is (item.id not in UNANSWERABLE), item.id


FRAGMENTS = [
    *("new ", "ArrayList<>(", "ArrayList<String>(", "Arrays.asList(", "HashMap<String, Object>()"),
    *("int[]", "{", "}", "{{", "}}", "(", ")", "))", "[", "]", ",", ", ", ":", ";", "add(1)"),
    *('put("k", 1)', 'put("a", "b")', "1", "-2", "3.5", "1e3", "L", "f", "n", "true", "false"),
    *('"', "'", '"a"', "'b'", "k: 1", "key", " ", "\n", "new Array(", "null", "\\"),
]
SOURCE = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
KINDS = [(language, kind) for language in ("java", "javascript")
         for kind in bfcl_languages.TYPES[language]]  # fmt: skip


@settings(max_examples=1500)
@given(text=SOURCE, kind=st.sampled_from(KINDS), data=st.data())
def test_source_text_is_read_as_bfcl_reads_it(
    reference: Checker, text: str, kind: tuple[str, str], data: st.DataObject
) -> None:
    converters = reference.converters  # type: ignore[attr-defined]
    language, name = kind
    nested = name in ("Array", "ArrayList", "array")
    scalars = [
        one for one, made in bfcl_languages.TYPES[language].items() if made not in (list, dict)
    ]
    inner = data.draw(st.sampled_from(scalars)) if nested else None
    try:
        theirs = converters[language](text, name, inner)
    except ValueError:
        return
    ours = bfcl_languages.value_of(language, text, name, inner)
    assert (ours, type(ours)) == (theirs, type(theirs))


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * 5000,
        "[" + "[]," * 200,
        "new HashMap<>() {" + " " * 3000,
        "new ArrayList<>(" * 200,
        "{" + "a:" * 1900,
        "new int[] {" * 300,
        "9" * 3999,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_source_text_is_read_at_once(text: str) -> None:
    for language, kind in KINDS:
        try:
            bfcl_languages.value_of(language, text, kind, "any")
        except ValueError:
            assert set(text) == {"9"}


def item_of(expected: list[dict[str, Any]] | None, functions: list[dict[str, Any]]) -> Item:
    payload = {"functions": functions, "expected": expected, "parser": "tool_call_json"}
    return Item("row", [], payload)


def function(name: str, *required: str) -> dict[str, Any]:
    types = {"type": "string"}
    return {
        "name": name,
        "parameters": {"properties": dict.fromkeys("ab", types), "required": list(required)},
    }


F, G = function("f", "a"), function("g")
CALL_A, CALL_B = ({"name": "f", "arguments": {"a": text}} for text in "xy")
FLIPS = [
    # output, expected, canonical outcome, right by BFCL
    (written([CALL_A]), [{"f": {"a": ["x", "y"]}}], "exact", True),
    ([CALL_A, CALL_B], [{"f": {"a": ["x", "y"]}}, {"f": {"a": ["x"]}}], "exact", False),  # greedy
    ([{"name": "f", "arguments": {"a": "-1.5"}}], [{"f": {"a": ["15"]}}], "wrong_argument", True),
    ([{"name": "f", "arguments": {"a": "1,5"}}], [{"f": {"a": ["15"]}}], "exact", True),
    ("<tool_call>[{", [], "unparseable", True),
    ("f(a='x')", [], "unparseable", True),
    ([CALL_A], [], "spurious_call", False),
    ([], [], "clean_abstention", True),
    ([], None, "missing_call", False),
    ([CALL_A], None, "exact", True),
    ([{"name": "made.up", "arguments": {}}], None, "invented_tool", True),
    ([{"name": "f", "arguments": {"z": 1, "a": ""}}], None, "invented_argument", True),
    ([{"name": "f", "arguments": {}}], None, "wrong_argument", True),
]


@pytest.mark.parametrize(("output", "expected", "outcome", "by_bfcl"), FLIPS)
def test_where_the_rules_part(
    output: Any, expected: list[dict[str, Any]] | None, outcome: str, by_bfcl: bool
) -> None:
    item = item_of(expected, [F, G])
    text = output if isinstance(output, str) else written(output)
    assert tool_calls.score(item, text).outcome == outcome
    assert tool_calls.score(item, text).by_other_rules["bfcl"] is by_bfcl


TWO = [{"f": {"a": ["x"]}}, {"g": {"b": ["y", ""]}}]
SEVERAL = [
    ("exact", [CALL_A, {"name": "g", "arguments": {"b": "y"}}]),
    ("exact", [{"name": "g", "arguments": {}}, CALL_A]),
    ("spurious_call", [CALL_A, CALL_A, {"name": "g", "arguments": {}}]),
    ("missing_call", [CALL_A]),
    ("missing_call", [CALL_A, CALL_A]),
    ("invented_tool", [CALL_A, {"name": "h", "arguments": {}}]),
    ("wrong_argument", [CALL_B, {"name": "g", "arguments": {}}]),
    ("invented_argument", [CALL_B, {"name": "g", "arguments": {"z": 1}}]),
]


@pytest.mark.parametrize(("outcome", "calls"), SEVERAL)
def test_outcome_of_several_calls(outcome: str, calls: list[dict[str, Any]]) -> None:
    assert tool_calls.score(item_of(TWO, [F, G]), written(calls)).outcome == outcome


def test_members_must_fit_what_is_expected(wheel: Path) -> None:
    for name, expects in (("bfcl_multiple", "no_call"), ("bfcl_irrelevance", "answers")):
        task: Task = CATEGORIES[name]
        options = task.options.model_copy(update={"expects": expects})
        with pytest.raises(BadFile, match="members must be"):
            tool_calls.items(task.model_copy(update={"options": options}), wheel, 1)
