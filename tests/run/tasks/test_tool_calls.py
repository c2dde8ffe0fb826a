from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ask.tasks import Task
from harness.errors import BadFile, UnknownName, UserError
from harness.run import tasks
from harness.run.tasks import Item, tool_calls

AREA = {
    "name": "geo.area",
    "description": "The area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "sides": {"type": "array", "items": {"type": "float"}},
            "count": {"type": "integer"},
            "unit": {"type": "string"},
        },
        "required": ["sides"],
    },
}
OTHER = {"name": "other", "parameters": {"type": "dict", "properties": {}, "required": []}}
ANSWERS = {"geo.area": {"sides": [[1.5, 2.0]], "count": [3], "unit": ["m", ""]}}
RIGHT = {"sides": [1.5, 2.0], "count": 3}


def item(expected: list[dict[str, Any]]) -> Item:
    payload = {"functions": [AREA, OTHER], "expected": expected, "parser": "tool_call_json"}
    return Item("row", [{"role": "user", "content": "?"}], payload)


def call(name: str = "geo.area", **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def tagged(*calls: dict[str, Any]) -> str:
    return f"<tool_call>{json.dumps(calls)}</tool_call>"


WANTED = [
    ("exact", tagged(call(**RIGHT))),
    ("exact", tagged(call(**RIGHT, unit="M."))),
    ("wrong_argument", tagged(call(sides=[1.5, 2.5], count=3))),  # value
    ("wrong_argument", tagged(call(sides="1.5", count=3))),  # type
    ("wrong_argument", tagged(call(sides=[1.5, 2], count=3))),  # type of an item
    ("wrong_argument", tagged(call(sides=[1.5, 2.0], count=3.0))),
    ("wrong_argument", tagged(call(count=3))),  # required one missing
    ("wrong_argument", tagged(call(sides=[1.5, 2.0]))),  # optional, but the answer needs it
    ("invented_argument", tagged(call(**RIGHT, height=1))),
    ("invented_argument", tagged(call(height=1))),  # before a missing or a wrong one
    ("invented_tool", tagged(call("geo_area", **RIGHT))),
    ("invented_tool", tagged(call("func_name1"))),
    ("invented_tool", tagged(call(**RIGHT), call("made.up"))),  # before a wrong number
    ("spurious_call", tagged(call(**RIGHT), call(**RIGHT))),
    ("spurious_call", tagged(call(**RIGHT)) + tagged(call("other"))),
    ("missing_call", tagged(call("other"))),  # an offered function, but not the right one
    ("missing_call", "I cannot help with that."),
    ("missing_call", tagged()),
    ("missing_call", ""),
    ("missing_call", "```python\ndef geo.area(sides):\n```"),
    ("unparseable", "<tool_call>[{"),
    ("unparseable", "geo.area(sides=[1.5, 2.0], count=3)"),
]
UNWANTED = [
    ("clean_abstention", "None of the functions can be used."),
    ("clean_abstention", tagged()),
    ("clean_abstention", "Another geo.area (that of a circle) is needed; my_other() is not here."),
    ("spurious_call", tagged(call("other"))),
    ("invented_tool", tagged(call("made.up"))),
    ("unparseable", "<tool_call>[{"),  # BFCL counts this as a right abstention
    ("unparseable", "other()"),
]


@pytest.mark.parametrize(("outcome", "output"), WANTED)
def test_outcome_where_a_call_is_right(outcome: str, output: str) -> None:
    score = tool_calls.score(item([ANSWERS]), output)
    assert (score.outcome, score.correct) == (outcome, outcome == "exact"), score.detail


@pytest.mark.parametrize(("outcome", "output"), UNWANTED)
def test_outcome_where_no_call_is_right(outcome: str, output: str) -> None:
    score = tool_calls.score(item([]), output)
    assert (score.outcome, score.correct) == (outcome, outcome == "clean_abstention"), score.detail


def test_every_outcome_is_in_a_table_above() -> None:
    assert {outcome for outcome, _ in WANTED + UNWANTED} == set(tool_calls.OUTCOMES)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries({}, optional={"sides": VALUES, "count": VALUES, "unit": VALUES})
    | st.dictionaries(st.text(), VALUES, max_size=3),
    st.sampled_from(["geo.area", "other", "x"]),
)
def test_whatever_a_model_writes_has_an_outcome(arguments: dict[str, Any], name: str) -> None:
    score = tool_calls.score(item([ANSWERS]), tagged({"name": name, "arguments": arguments}))
    assert score.outcome in tool_calls.OUTCOMES
    assert len(score.detail) <= 200
    score.detail.encode()  # storable, whatever surrogates the model wrote


def test_an_integer_beyond_every_float_is_wrong_and_no_crash() -> None:
    function = {**OTHER, "parameters": {"properties": {"x": {"type": "float"}}, "required": ["x"]}}
    question = Item(
        "row",
        [],
        {
            "functions": [function],
            "expected": [{"other": {"x": [1.0]}}],
            "parser": "tool_call_json",
        },
    )
    score = tool_calls.score(question, tagged(call("other", x=10**400)))
    assert score.outcome == "wrong_argument"
    assert len(score.detail) == 200  # a detail is short, whatever the model wrote


def test_items_are_the_rows_as_published(task: Task, items: list[Item]) -> None:
    assert len({entry.id for entry in items}) == 400
    first = next(entry for entry in items if entry.id == "simple_python_0")
    system, user = first.messages
    assert user["content"].startswith("Find the area of a triangle with a base of 10 units")
    before, _, rest = task.prompt.partition("{{ tools }}")
    assert system["content"].startswith(before) and system["content"].endswith(rest)
    tools = json.loads(system["content"].removeprefix(before).removesuffix(rest))
    assert tools[0]["type"] == "function"
    assert tools[0]["function"]["parameters"]["type"] == "object"
    assert first.payload["expected"] == [
        {"calculate_triangle_area": {"base": [10], "height": [5], "unit": ["units", ""]}}
    ]


def test_models_see_json_schema_types_only(items: list[Item]) -> None:
    def types(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(types, node))
        if not isinstance(node, dict):
            return set()
        own = {node["type"]} if isinstance(node.get("type"), str) else set()
        return own.union(*map(types, node.values()))

    texts = [entry.messages[0]["content"] for entry in items]
    shown = [json.loads(text.split("<tools>")[1].split("</tools>")[0]) for text in texts]
    known = {"function", "object", "array", "string", "number", "integer", "boolean"}
    assert types(shown) == known


def test_fewer_items_are_the_first_of_more(task: Task, wheel: Path, items: list[Item]) -> None:
    assert tool_calls.items(task, wheel, 7) == items[:7]
    assert tool_calls.items(task, wheel, None) == items[: task.rows.planned]


@pytest.mark.parametrize("limit", [0, -1, 401])
def test_a_limit_that_the_data_cannot_meet(task: Task, wheel: Path, limit: int) -> None:
    with pytest.raises(UserError, match="400 rows"):
        tool_calls.items(task, wheel, limit)


def test_digest_changes_with_every_part(items: list[Item]) -> None:
    first = items[0]
    others = [
        dataclasses.replace(first, id="x"),
        dataclasses.replace(first, messages=first.messages[:1]),
        dataclasses.replace(first, payload={**first.payload, "expected": []}),
    ]
    assert dataclasses.replace(first).digest() == first.digest()
    assert len({entry.digest() for entry in [first, *others]}) == 4


def test_rows_without_answers_expect_no_call(task: Task, wheel: Path) -> None:
    members = {"questions": "bfcl_eval/data/BFCL_v4_irrelevance.json"}
    source = task.source.model_copy(update={"members": members})
    rows = task.rows.model_copy(update={"available": 240})
    options = task.options.model_copy(update={"expects": "no_call"})
    changes = {"source": source, "rows": rows, "options": options}
    irrelevance = task.model_copy(update=changes)
    asked = tool_calls.items(irrelevance, wheel, 5)
    assert [tool_calls.score(entry, "I can't.").outcome for entry in asked] == [
        "clean_abstention"
    ] * 5


def test_another_wheel_is_refused(task: Task, tmp_path: Path) -> None:
    other = tmp_path / task.source.wheel
    other.write_bytes(b"PK")
    with pytest.raises(BadFile, match="sha256"):
        tool_calls.items(task, other, 1)
    with pytest.raises(BadFile, match="cannot be read"):
        tool_calls.items(task, tmp_path / "none.whl", 1)


@pytest.mark.parametrize(
    "questions",
    [
        "not json",
        '{"id": "a"}',
        "[1]",
        '{"id": "a", "question": [[]], "function": []}',
        '{"id": "a", "question": [[]], "function": [{"name": "f", "parameters": {"properties": '
        '{"x": {"type": "quaternion"}}, "required": []}}]}',
    ],
)
def test_rows_of_another_shape_are_refused(task: Task, tmp_path: Path, questions: str) -> None:
    path = tmp_path / "w.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("q.json", questions)
        archive.writestr("a.json", '{"id": "a", "ground_truth": [{"f": {}}]}')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    members = {"questions": "q.json", "answers": "a.json"}
    changes = {"wheel_sha256": digest, "members": members}
    source = task.source.model_copy(update=changes)
    rows = task.rows.model_copy(update={"available": 1})
    with pytest.raises(BadFile):
        tool_calls.items(task.model_copy(update={"source": source, "rows": rows}), path, 1)


def test_a_prompt_without_place_for_tools_is_refused(task: Task, wheel: Path) -> None:
    with pytest.raises(BadFile, match="tools"):
        tool_calls.items(task.model_copy(update={"prompt": "Do it."}), wheel, 1)


def test_every_kind_offers_the_protocol() -> None:
    for name in tasks.KINDS:
        offered = tasks.kind(name)
        assert isinstance(offered.VERSION, int) and offered.OUTCOMES
        assert callable(offered.items) and callable(offered.score)
    with pytest.raises(UnknownName, match="tool_calls"):
        tasks.kind("tool_call")


def test_every_task_names_a_kind_and_a_parser_that_exist(task: Task) -> None:
    assert task.kind in tasks.KINDS
    assert task.options.parser in tool_calls.tool_call_parsers.PARSERS


def test_no_task_imports_a_runtime() -> None:
    code = (
        "import sys; from harness.run import chat_template, tasks\n"
        "[tasks.kind(name) for name in tasks.KINDS]\n"
        "print({'llama_cpp', 'torch', 'transformers', 'onnxruntime', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
