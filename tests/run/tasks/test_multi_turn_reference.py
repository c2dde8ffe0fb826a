"""Holds the rule of "multi_turn" to bfcl-eval's own checker, loaded out of the wheel."""

from __future__ import annotations

import importlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ask import tasks
from harness.run.tasks import Item, bfcl_objects_box, multi_turn
from harness.run.tasks.bfcl_objects_box import Call

ROOT = Path(__file__).parents[3]
Turns = list[list[list[Call]]]
"""Of each turn the steps, of each step the calls."""
WRONG = {
    "multi_turn:empty_turn_model_response": "calls",
    "multi_turn:instance_state_mismatch": "state",
    "multi_turn:execution_response_mismatch": "results",
}


@pytest.fixture(scope="module")
def entries(wheel: Path) -> list[Item]:
    return multi_turn.items(tasks.load(ROOT / "tasks")["bfcl_multi_turn_base"], wheel, 200)


@pytest.fixture(scope="module")
def theirs(package: None) -> Callable[[Item, Turns], str | None]:
    """What bfcl-eval's checker finds wrong with a conversation's calls."""
    name = "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_{}"
    checker = importlib.import_module(name.format("checker")).multi_turn_checker
    held = vars(importlib.import_module(name.format("utils")))

    def wrong(item: Item, turns: Turns) -> str | None:
        payload = item.payload
        entry = {
            "id": item.id,
            "initial_config": payload["configuration"],
            "involved_classes": list(payload["sources"]),
        }
        said = [[[text(call) for call in step] for step in turn] for turn in turns]
        right = [[text(call) for call in turn] for turn in payload["right"]]
        found = checker(said, right, entry, "multi_turn_base", "model")
        for name in [name for name in held if name.endswith("_instance")]:
            del held[name]  # it keeps the objects of each model and entry
        return None if found["valid"] else WRONG[found["error_type"]]

    return wrong


def text(call: Call) -> str:
    """A call as bfcl-eval evaluates it."""
    name, positional, named = call
    given = [*map(repr, positional), *(f"{key}={value!r}" for key, value in named.items())]
    return f"{name}({', '.join(given)})"


KNOWN: dict[str, dict[str, Any]] = {}


def ours(item: Item, turns: Turns) -> str | None:
    """As the sandbox does it, and in this process: thousands of these would take long there."""
    sources = item.payload["sources"]
    for name in sources.keys() - KNOWN.keys():
        KNOWN.update(bfcl_objects_box.classes({name: sources[name]}))
    known = {name: KNOWN[name] for name in sources}
    payload = item.payload
    found = bfcl_objects_box.check(known, payload["configuration"], turns, payload["right"])
    return found.get("wrong")


def right_turns(item: Item) -> Turns:
    """The right calls, all of a turn in one step."""
    return [[list(turn)] if turn else [] for turn in item.payload["right"]]


def other_value(value: Any, draw: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return draw.choice([value + 1, -value, value * 1.0, str(value)])
    if isinstance(value, str):
        return draw.choice([f"{value}x", value.upper(), value[1:], f" {value}", None, 7])
    if isinstance(value, dict):
        return draw.choice([{}, value | {"further": 1}, None])
    return draw.choice([value[:-1], [*value, *value], None, "x"]) if value else ["x"]


def changed(call: Call, draw: random.Random) -> Call:
    """The call with one argument changed; a further one where it has none."""
    name, positional, named = call
    if named:
        key = draw.choice(sorted(named))
        return [name, positional, named | {key: other_value(named[key], draw)}]
    if positional:
        return [name, [other_value(positional[0], draw), *positional[1:]], named]
    return [name, [], {"further": 1}]


def conversations(item: Item, others: list[Item], draw: random.Random) -> Iterator[Turns]:
    """Right, nearly right and wrong ones."""

    def base() -> Turns:
        return json.loads(json.dumps(right_turns(item)))

    def some(turns: Turns) -> list[Call]:
        return draw.choice([step for turn in turns for step in turn])

    yield base()
    yield [[[call] for step in turn for call in step] for turn in base()]
    yield [[step[::-1] for step in turn] for turn in base()]
    yield base()[::-1]
    yield [[] for _ in base()]
    empty = base()
    empty[draw.randrange(len(empty))] = []
    yield empty
    for change in (
        lambda calls: calls.pop(draw.randrange(len(calls))),
        lambda calls: calls.append(calls[0]),
        lambda calls: calls.append(["no_such_tool", [], {"a": 1}]),
        lambda calls: calls.append(free_call(item, draw)),
        lambda calls: calls.insert(0, free_call(item, draw)),
        lambda calls: calls.append(draw.choice(some(right_turns(draw.choice(others))))),
        lambda calls: calls.insert(0, changed(draw.choice(calls), draw)),
        *[lambda calls: calls.append(changed(calls.pop(draw.randrange(len(calls))), draw))] * 4,
    ):
        turns = base()
        change(some(turns))
        yield turns
    moved = base()
    calls = some(moved)
    moved[draw.randrange(len(moved))].append([calls.pop()])
    yield moved
    stranger = right_turns(draw.choice(others))
    if len(stranger) == len(item.payload["right"]):
        yield stranger


def free_call(item: Item, draw: random.Random) -> Call:
    """Any tool that takes a call without arguments, whatever it does."""
    functions = item.payload["functions"]
    return [
        draw.choice([one["name"] for one in functions if not one["parameters"]["required"]]),
        [],
        {},
    ]


def test_the_right_calls_of_all_entries_are_right(
    entries: list[Item], theirs: Callable[[Item, Turns], str | None]
) -> None:
    for item in entries:
        assert (ours(item, right_turns(item)), theirs(item, right_turns(item))) == (None, None)


def test_agreement_on_right_and_changed_conversations(
    entries: list[Item], theirs: Callable[[Item, Turns], str | None]
) -> None:
    """Not only whether but what is wrong."""
    seen: Counter[str | None] = Counter()
    disagreements = []
    for item in entries:
        draw = random.Random(item.id)
        for turns in conversations(item, entries, draw):
            expected = theirs(item, turns)
            seen[expected] += 1
            if ours(item, turns) != expected:
                disagreements.append((item.id, turns, expected, ours(item, turns)))
    print(f"{seen.total()} conversations: {dict(seen)}")
    assert not disagreements, disagreements[:3]
    assert seen.total() >= 3000
    assert min(seen[one] for one in (None, *WRONG.values())) >= 100


TOUCH, REMOVE = ["touch", [], {"file_name": "b"}], ["rm", [], {"file_name": "b"}]
EMPTY = ["echo", [], {"content": "", "file_name": "b"}]


@pytest.mark.parametrize(
    ("right", "said", "expected", "found"),
    [
        # A method's name before a bracket becomes an object's name in what they evaluate.
        ([["echo", [], {"content": "call ls(now)"}]], None, "results", None),
        # A name of Python's is called there; its None passes for that of the missing call.
        ([TOUCH, EMPTY, REMOVE], [TOUCH, ["print", [], {}], REMOVE], None, "results"),
        # Names that both refuse.
        ([TOUCH, EMPTY, REMOVE], [TOUCH, ["quit", [], {}], REMOVE], "results", "results"),
        ([TOUCH, EMPTY, REMOVE], [TOUCH, ["_load_scenario", [], {}], REMOVE], "results", "results"),
    ],
)
def test_where_their_checker_evaluates_text(
    entries: list[Item],
    theirs: Callable[[Item, Turns], str | None],
    right: list[Call],
    said: list[Call] | None,
    expected: str | None,
    found: str | None,
) -> None:
    entry = next(one for one in entries if list(one.payload["sources"]) == ["GorillaFileSystem"])
    item = Item(entry.id, [], entry.payload | {"right": [right]})
    turns = [[said or right]]
    assert (theirs(item, turns), ours(item, turns)) == (expected, found)
