"""Holds our scoring to BFCL's own checker, loaded out of the wheel into a temporary package.

The checker imports the whole leaderboard; of what it needs, one model's entry is a stand-in here.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.run.tasks import Item, tool_calls

Arguments = dict[str, Any]
Checker = Callable[[Item, list[dict[str, Any]]], bool]


def ours(item: Item, calls: list[dict[str, Any]]) -> bool:
    text = f"<tool_call>{json.dumps(calls)}</tool_call>"
    return tool_calls.score(item, text).by_other_rules["bfcl"]


def made_up(schema: dict[str, Any], accepted: list[Any]) -> Item:
    """An item whose function f has one parameter x."""
    function = {"name": "f", "parameters": {"properties": {"x": schema}, "required": []}}
    expected = [{"f": {"x": accepted}}]
    payload = {"functions": [function], "expected": expected, "parser": "tool_call_json"}
    return Item("made-up", [], payload)


def given_value(answer: Any) -> Any:
    """One value that the key accepts; in dicts it lists the accepted values of each key."""
    if isinstance(answer, dict):
        picked = {key: next((v for v in vs if v != ""), "") for key, vs in answer.items()}
        return {key: value for key, value in picked.items() if value != ""}
    if isinstance(answer, list):
        return [given_value(entry) for entry in answer]
    return answer


def right_answers(item: Item) -> Iterator[Arguments]:
    """Every accepted value of each parameter once, with and without what may be left out."""
    ((_, key),) = item.payload["expected"][0].items()
    base = {name: given_value(next((a for a in vs if a != ""), "")) for name, vs in key.items()}
    needed = {name: value for name, value in base.items() if "" not in key[name]}
    yield base
    yield needed
    for name, accepted in key.items():
        for answer in accepted:
            yield {**base, name: given_value(answer)}
            yield {**needed, name: given_value(answer)}


def other_values(value: Any) -> Iterator[Any]:
    """Values near `value`: other types, other spellings, other members, one level down too."""
    yield from (None, "", [], {}, True, False, 0, 1, 0.0, [value], {"value": value}, str(value))
    if isinstance(value, bool):
        yield from (not value, int(value), float(value), str(value).lower())
    elif isinstance(value, int | float):
        yield from (value + 1, -value, value * 1.0, int(value), value + 1e-12, f"{value}.0")
    elif isinstance(value, str):
        yield from (value.upper(), value.lower(), f" {value}. ", f"{value}x", value[1:])
        yield from (value.replace(" ", "-"), value.replace(" ", "\t"), value.replace(",", ""))
        yield from ("-_*^./,".join(value), f"'{value}'", f'"{value}"', value.replace("'", '"'))
    elif isinstance(value, list):
        yield from (value[::-1], value[1:], value[:-1], [*value, value], value + value[:1])
        for index, entry in enumerate(value):
            for other in other_values(entry):
                yield [*value[:index], other, *value[index + 1 :]]
    elif isinstance(value, dict):
        yield {**value, "unknown_key": 1}
        for key, entry in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            for other in other_values(entry):
                yield {**value, key: other}


def mutations(base: Arguments) -> Iterator[Arguments]:
    yield {**base, "unknown_argument": 1}
    yield {}
    for name, value in base.items():
        yield {kept: base[kept] for kept in base if kept != name}
        for other in other_values(value):
            yield {**base, name: other}


def pairs(item: Item) -> Iterator[list[dict[str, Any]]]:
    name = item.payload["functions"][0]["name"]
    right = list(right_answers(item))
    for arguments in itertools.chain(right, mutations(right[0]), mutations(right[1])):
        yield [{"name": name, "arguments": arguments}]
    yield [{"name": name, "arguments": right[0]}] * 2
    yield [{"name": f"{name}_", "arguments": right[0]}]
    yield [{"name": name.replace(".", "_"), "arguments": right[0]}]
    yield []


def test_agreement_on_right_answers_and_mutations_of_every_row(
    reference: Checker, items: list[Item]
) -> None:
    seen: Counter[bool] = Counter()
    disagreements = []
    for item in items:
        for calls in pairs(item):
            theirs = reference(item, calls)
            seen[theirs] += 1
            if ours(item, calls) is not theirs:
                disagreements.append((item.id, calls, theirs))
    assert not disagreements, disagreements[:5]
    print(f"{seen.total()} pairs, of which BFCL calls {seen[True]} valid")
    assert seen[True] > 2000 and seen[False] > 20_000


def test_every_row_has_a_right_answer(reference: Checker, items: list[Item]) -> None:
    for item in items:
        name = item.payload["functions"][0]["name"]
        assert any(ours(item, [{"name": name, "arguments": a}]) for a in right_answers(item)), item


ODDITIES = [
    ("integer", [5], 5.0, False),
    ("integer", [1], True, False),
    ("float", [5.0], 5, True),
    ("array of float", [[5.0]], [5], False),
    ("string", ["15"], "-1.5", True),
    ("string", ["it's"], 'IT"S', True),
    ("string", ["a"], "a\t", False),
    ("array of string", [["A b"]], ["ab"], True),
    ("array of array", [[["A b"]]], [["ab"]], False),
    ("array of array", [[[1]]], [[True]], True),
    ("string", ["", True], True, True),
    ("string", [True, "a b"], "a b", True),
    ("string", [True, "a b"], "ab", False),  # no answer of the declared type comes first: exact
    ("string", ["a", ""], "", True),
    ("array of string", [["a"], ""], [], True),
    ("array of string", [["a"], ""], "", False),
    ("dict", [{"k": ["a", ""]}], {}, True),
    ("dict", [{"k": [["a b"]]}], {"k": ["ab"]}, False),
    ("array of dict", [[{"k": [1]}, {"k": [2]}]], [{"k": 2}, {"k": 1}], False),
]


@pytest.mark.parametrize(("declared", "accepted", "value", "right"), ODDITIES)
def test_the_oddities_of_the_rule(
    reference: Checker, declared: str, accepted: list[Any], value: Any, right: bool
) -> None:
    outer, _, inner = declared.partition(" of ")
    item = made_up({"type": outer, "items": {"type": inner}}, accepted)
    calls = [{"name": "f", "arguments": {"x": value}}]
    assert (reference(item, calls), ours(item, calls)) == (right, right)


LEAVES = st.none() | st.booleans() | st.integers(-9, 99) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda deep: st.lists(deep, max_size=3) | st.dictionaries(st.text(), deep, max_size=3)
)


@settings(max_examples=500)
@given(data=st.data())
def test_agreement_on_arbitrary_arguments(
    reference: Checker, items: list[Item], data: st.DataObject
) -> None:
    item = data.draw(st.sampled_from(items))
    base = data.draw(st.sampled_from(list(right_answers(item))))
    replaced = data.draw(st.dictionaries(st.sampled_from(list(base)), VALUES, min_size=1))
    calls = [{"name": item.payload["functions"][0]["name"], "arguments": {**base, **replaced}}]
    assert ours(item, calls) is reference(item, calls)


TYPES = ["string", "integer", "float", "boolean", "dict", "any"]
SCALARS = st.sampled_from(["", "a", "A.", "1", 1, 0, 2, 1.0, 2.5, True, False])
LISTS = st.lists(SCALARS, max_size=2)
GIVEN = SCALARS | LISTS | st.dictionaries(st.sampled_from("kl"), SCALARS | LISTS, max_size=2)
SCHEMAS = st.sampled_from(
    [{"type": name} for name in TYPES]
    + [{"type": outer, "items": {"type": inner}} for outer in ("array", "tuple") for inner in TYPES]
)


@settings(max_examples=3000)
@given(schema=SCHEMAS, data=st.data())
def test_agreement_on_keys_that_the_data_do_not_hold(
    reference: Checker, schema: dict[str, Any], data: st.DataObject
) -> None:
    """The oddities of the rule, on made-up functions and answer keys of the declared type."""
    options = st.lists(SCALARS, max_size=2) | st.just([[1]])
    dicts = st.dictionaries(st.sampled_from("kl"), options, max_size=2)
    of_items = st.lists(dicts, max_size=2) if schema.get("items") == {"type": "dict"} else LISTS
    answer = {"dict": dicts, "array": of_items, "tuple": of_items}.get(schema["type"], SCALARS)
    answers = st.sampled_from([""]) | answer
    accepted = data.draw((st.tuples(answers) | st.tuples(answers, answers)).map(list))
    near = st.sampled_from([given_value(answer) for answer in accepted])
    value = data.draw(near | near.flatmap(lambda v: st.sampled_from(list(other_values(v)))) | GIVEN)
    item = made_up(schema, accepted)
    for arguments in ({"x": value}, {}):
        calls = [{"name": "f", "arguments": arguments}]
        try:
            theirs = reference(item, calls)
        except (TypeError, AttributeError, KeyError):  # theirs crashes where ours must say no
            assert not ours(item, calls)
        else:
            assert ours(item, calls) is theirs
