"""Tasks whose rows are made here: the rows, the conversations, and what answers are worth."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ask import tasks
from harness.errors import BadFile, UserError
from harness.prepare import data
from harness.run.tasks import Item, json_answers, kind, made_calls, tool_chains

ROOT = Path(__file__).parents[3]
DIGESTS = {
    "json_answers": "f7ace12a1d75165c",
    "json_answers_grammar": "f7ace12a1d75165c",
    "made_offers": "0f5ef1525983841a",
    "made_offers_hermes": "9d8515221b888706",
    "made_shapes": "b0ea18a08d5967e0",
    "made_shapes_hermes": "79c13da4f841afd3",
    "tool_chains": "6c153e0eefb19f3c",
    "tool_chains_hermes": "23bc4bdf7ecdca81",
}
MADE = {name: task for name, task in tasks.load(ROOT / "tasks").items() if name in DIGESTS}


def items(name: str) -> list[Item]:
    task = MADE[name]
    return kind(task.kind).items(task, Path(), task.rows.available)


class Scripted:
    """A model that says what a function of the messages so far returns."""

    def __init__(self, say: Callable[[Sequence[dict[str, Any]]], str]) -> None:
        self.say, self.asked = say, 0
        self.tools: list[dict[str, Any]] | None = None

    def answer(self, messages: Sequence[dict[str, Any]], max_new_tokens: int, **more: Any) -> str:
        self.asked += 1
        self.tools = more.get("tools")
        return self.say(messages)

    def likelihoods(self, context: str, options: Sequence[str]) -> list[float]:
        raise NotImplementedError


def written(*calls: dict[str, Any]) -> str:
    return f"<tool_call>{json.dumps(calls)}</tool_call>"


def call(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize("name", MADE)
def test_rows_are_the_same_on_every_machine(name: str) -> None:
    """A changed digest means other questions: raise the kind's VERSION with it."""
    task = MADE[name]
    made = items(name)
    assert len({item.id for item in made}) == task.rows.available
    assert len({item.messages[-1]["content"] for item in made}) == task.rows.available
    assert made[:7] == kind(task.kind).items(task, Path(), 7)
    digest = hashlib.sha256("".join(item.digest() for item in made).encode()).hexdigest()
    assert digest[:16] == DIGESTS[name]


@pytest.mark.parametrize("name", MADE)
def test_parts_are_of_equal_size_and_nothing_is_fetched(name: str) -> None:
    task = MADE[name]
    sizes = Counter(item.id.split("-")[0] for item in items(name))
    assert len(set(sizes.values())) == 1
    assert (data.fetch(task.source, offline=True), data.need(task.source).present) == (Path(), True)
    with pytest.raises(UserError, match="rows"):
        kind(task.kind).items(task, Path(), task.rows.available + 1)


@pytest.mark.parametrize("name", MADE)
def test_a_prompt_shows_what_is_needed_just_once(name: str) -> None:
    task = MADE[name]
    shown = task.options.model_dump().get("tools", "prompt") == "prompt"
    for prompt in ("Do it.", "{{ tools }} {{ tools }}") if shown else ("{{ tools }}",):
        with pytest.raises(BadFile, match="prompt"):
            kind(task.kind).items(task.model_copy(update={"prompt": prompt}), Path(), 1)


def right_calls(item: Item) -> list[dict[str, Any]]:
    return [
        call(name, **{key: one["accepted"][0] for key, one in wanted.items() if one["accepted"]})
        for entry in item.payload["expected"]
        for name, wanted in entry.items()
    ]


@pytest.mark.parametrize("name", ["made_shapes", "made_offers"])
def test_the_right_call_of_every_row_is_exact_and_fits_its_schema(name: str) -> None:
    for item in items(name):
        calls = right_calls(item)
        score = made_calls.score(item, written(*calls))
        assert score.outcome == ("exact" if calls else "clean_abstention"), (item, score)
        offered = {one["name"]: one["parameters"] for one in item.payload["functions"]}
        assert len(offered) == len(item.payload["functions"])
        for one in calls:
            jsonschema.validate(one["arguments"], offered[one["name"]])


def test_as_many_tools_are_offered_as_the_id_says() -> None:
    for item in items("made_offers"):
        assert len(item.payload["functions"]) == int(item.id.split("-")[0])


EXPECTED = {"f": {"a": {"accepted": [5]}, "b": {"accepted": ["x y"], "omittable": True},
                  "c": {"accepted": [], "omittable": True}}}  # fmt: skip
FUNCTIONS = [{"name": "f", "parameters": {}}, {"name": "g", "parameters": {}}]


@pytest.mark.parametrize(
    ("outcome", "output"),
    [
        ("exact", written(call("f", a=5))),
        ("exact", written(call("f", a=5.0, b=" X  y"))),
        ("wrong_argument", written(call("f", a=True))),
        ("wrong_argument", written(call("f", a="5"))),
        ("wrong_argument", written(call("f", b="x y"))),
        ("wrong_argument", written(call("f", a=5, b="xy"))),
        ("wrong_argument", written(call("f", a=5, c="a date that nobody gave"))),
        ("invented_argument", written(call("f", a=5, z=1))),
        ("missing_call", written(call("g"))),
        ("missing_call", "Which one?"),
        ("spurious_call", written(call("f", a=5), call("f", a=5))),
        ("invented_tool", written(call("h"))),
        ("unparseable", "f(a=5)"),
    ],
)
def test_outcome_of_a_made_call(outcome: str, output: str) -> None:
    payload = {"functions": FUNCTIONS, "expected": [EXPECTED], "parser": "tool_call_json"}
    score = made_calls.score(Item("x", [], payload), output)
    assert (score.outcome, score.correct) == (outcome, outcome == "exact")


@pytest.mark.parametrize("name", ["made_shapes_hermes", "made_offers_hermes", "tool_chains_hermes"])
def test_the_arm_of_the_template_asks_the_same_through_the_template(name: str) -> None:
    task, prompted = MADE[name], items(name.removesuffix("_hermes"))
    for item, other in zip(items(name)[:20], prompted, strict=False):
        assert (item.id, item.messages[-1]) == (other.id, other.messages[-1])
        model = Scripted(lambda messages: "No.")
        kind(task.kind).ask(task, item, model)
        assert model.tools is not None
        assert [one["function"] for one in model.tools] == item.payload["functions"]
        assert "tool" not in item.messages[0]["content"]


def follower(item: Item) -> Callable[[Sequence[dict[str, Any]]], str]:
    """A model that makes each look-up in its turn, from what the register told it."""

    def say(messages: Sequence[dict[str, Any]]) -> str:
        turn = sum(1 for one in messages if one["role"] == "assistant")
        person = item.payload["chain"][0][1]
        if turn:
            person = messages[-1]["content"].split(" is ")[-1].rstrip(".")
        if turn == len(item.payload["chain"]):
            return written(call("report", person=person))
        return written(call(item.payload["chain"][turn][0], person=person))

    return say


def talk(item: Item, say: Callable[[Sequence[dict[str, Any]]], str]) -> tuple[Any, int]:
    model = Scripted(say)
    output = tool_chains.ask(MADE["tool_chains"], item, model)
    return tool_chains.score(item, output), model.asked


def test_who_follows_every_chain_is_exact() -> None:
    for item in items("tool_chains"):
        score, asked = talk(item, follower(item))
        assert (score.outcome, score.correct) == ("exact", True)
        assert asked == int(item.id.split("-")[0]) + 1


CHAIN = next(item for item in items("tool_chains") if item.id.startswith("4-"))
(FIRST, PERSON), *_ = CHAIN.payload["chain"]
OTHER = next(one for one in CHAIN.payload["register"] if f"{one}_of" != FIRST) + "_of"


@pytest.mark.parametrize(
    ("outcome", "said", "asked"),
    [
        ("missing_call", "I don't know.", 1),
        ("missing_call", "<tool_call>[]</tool_call>", 1),
        ("unparseable", "<tool_call>[{", 1),
        ("invented_tool", written(call("boss_of", person=PERSON)), 8),
        ("invented_argument", written(call(FIRST, name=PERSON)), 8),
        ("wrong_argument", written(call(FIRST, person="Nobody")), 8),
        ("wrong_argument", written(call(FIRST, person=["Anna"])), 8),
        ("wrong_argument", written(call(FIRST)), 8),
        ("spurious_call", written(call(OTHER, person=PERSON)), 8),
        ("spurious_call", written(call("report", person=CHAIN.payload["answer"])), 1),  # a guess
    ],
)
def test_a_chain_that_is_not_followed(outcome: str, said: str, asked: int) -> None:
    score, turns = talk(CHAIN, lambda messages: said)
    assert (score.outcome, score.correct, turns) == (outcome, False, asked), score.detail
    assert score.detail.startswith("after 0 of 5 calls")


def test_a_model_may_go_astray_and_come_back() -> None:
    told = []

    def say(messages: Sequence[dict[str, Any]]) -> str:
        if len(messages) == 2:
            return written(call("boss_of", person=PERSON))
        told.append(messages[3]["content"])
        return follower(CHAIN)([*messages[:2], *messages[4:]])

    score, _ = talk(CHAIN, say)
    assert (score.outcome, score.correct) == ("recovered", True)
    assert told[0] == "error: there is no tool 'boss_of'"


def test_the_right_report_after_a_wrong_look_up_is_not_right() -> None:
    calls = [call(name, person=person) for name, person in CHAIN.payload["chain"]]
    calls[1]["arguments"]["person"] = "Nobody"
    said = [written(one) for one in [*calls, call("report", person=CHAIN.payload["answer"])]]
    score = tool_chains.score(CHAIN, json.dumps(said))
    assert (score.outcome, score.correct) == ("wrong_argument", False)
    assert score.detail.startswith("after 1 of 5 calls")


@settings(max_examples=100)
@given(st.lists(st.text(max_size=30) | st.sampled_from([written(call(FIRST, person=PERSON))])))
def test_no_conversation_breaks_the_score(said: list[str]) -> None:
    said = said or [""]
    assert tool_chains.score(CHAIN, json.dumps(said)).outcome in tool_chains.OUTCOMES


def test_the_right_json_of_every_row_is_exact_and_follows_its_schema() -> None:
    for item in items("json_answers"):
        text = json.dumps(item.payload["wanted"])
        assert json_answers.score(item, text).outcome == "exact"
        assert json_answers.score(item, f"```json\n{text}\n```").outcome == "fenced"
        assert json_answers.score(item, f"Here: {text}").outcome == "not_json"
        jsonschema.validate(item.payload["wanted"], item.payload["schema"])


SCHEMAS = [item.payload["schema"] for item in items("json_answers")[:25]]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["x", "good"])
KEYS = st.sampled_from(["name", "age", "city", "phone", "bought", "thing", "count", "level", "z"])
VALUES = st.recursive(
    LEAVES, lambda deep: st.lists(deep, max_size=2) | st.dictionaries(KEYS, deep, max_size=3)
)


@settings(max_examples=400)
@given(schema=st.sampled_from(SCHEMAS), extra=st.dictionaries(KEYS, VALUES, max_size=3))
def test_a_schema_is_broken_where_jsonschema_says_so(schema: dict[str, Any], extra: Any) -> None:
    whole = {key: extra.get(key, "x") for key in schema["properties"]}
    validator = jsonschema.Draft202012Validator(schema)
    for value in (extra, whole, whole | extra, list(extra.values())):
        assert (json_answers.breaks(schema, value) is None) is validator.is_valid(value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "NaN", '{"name": 1e999}', "null", "x"])
def test_no_text_breaks_the_score_of_json(text: str) -> None:
    score = json_answers.score(items("json_answers")[0], text)
    assert not score.correct and len(score.detail) <= 200
