"""The task kind "ifeval": a request with instructions that a program can check.

IFEval's 25 kinds of instruction (Zhou et al., 2023), each a checker of our own: a function of the
answer and of what its row gives. Strict: the answer as it stands. Loose: any of eight forms of it,
without its first or last line, without asterisks. An item is right if every instruction is
followed strictly; the loose rule and each instruction alone are told beside it.

Counts as google-research's checkers do, but for the sentences and capital words of an answer, which
are counted without nltk, and for keywords, which are texts and no patterns. docs/ifeval.md lists
where that matters. A family of checkers is one file and one line in `CHECKERS`.
"""

from __future__ import annotations

import inspect
import typing
from pathlib import Path
from typing import Any

from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Score, ask_once, rows, wheel_data
from harness.run.tasks.ifeval import content, keywords, language, layout, length, whole
from harness.run.tasks.ifeval.arguments import RELATIONS, Checker

VERSION = 1

OUTCOMES = {
    "nothing_followed": "not one of the instructions is followed",
    "some_followed": "some of the instructions are followed, not all",
    "followed": "every instruction is followed",
}

CHECKERS: dict[str, Checker] = {
    **keywords.CHECKERS,
    **language.CHECKERS,
    **length.CHECKERS,
    **content.CHECKERS,
    **layout.CHECKERS,
    **whole.CHECKERS,
}
"""By the data set's name of the instruction. What a checker is given beside the answer, and of
which types, is what a row has to give."""

ask = ask_once

_PLACE = "{{ prompt }}"
_DETAIL_CHARS = 200


def needs(task: Task) -> dict[str, str]:
    return {"langdetect": "ifeval"}


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned, by their keys.

    Raises BadFile, naming the row, for one of another shape or with an unknown instruction.
    """
    count = wheel_data.count(task, limit)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    found: dict[str, Item] = {}
    for row in rows.read(task, data, "prompts"):
        item = _item(task, row)
        if item.id in found:
            raise BadFile(f"task {task.name}: two rows have the key {item.id}")
        found[item.id] = item
    if len(found) != task.rows.available:
        raise BadFile(f"task {task.name}: {len(found)} rows, not {task.rows.available}")
    return [found[id_] for id_ in task.rows.order(list(found))[:count]]


def score(item: Item, output: str) -> Score:
    """`parts` tells by rule of each instruction whether it is followed."""
    asked = item.payload["instructions"]
    parts = {
        rule: {one["name"]: followed(one, forms) for one in asked}
        for rule, forms in (("strict", [output]), ("loose", loosened(output)))
    }
    missed = [name for name, met in parts["strict"].items() if not met]
    outcome = "some_followed" if len(missed) < len(asked) else "nothing_followed"
    return Score(
        outcome if missed else "followed",
        not missed,
        f"missed: {', '.join(missed)}"[:_DETAIL_CHARS] if missed else "",
        {"loose": float(all(parts["loose"].values()))},
        parts=parts,
    )


def followed(instruction: dict[str, Any], forms: list[str]) -> bool:
    """Whether one of some forms of an answer follows an instruction; an empty one never does."""
    check = CHECKERS[instruction["kind"]]
    return any(form.strip() and check(form, **instruction["arguments"]) for form in forms)


def loosened(text: str) -> list[str]:
    """The forms of an answer that the loose rule tries."""
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cut, *(one.replace("*", "") for one in cut)]


def _item(task: Task, row: dict[str, Any]) -> Item:
    where = f"task {task.name}, row {row.get('key')}"
    key, prompt, kinds, given = (
        rows.column(row, name, where) for name in ("key", "prompt", "instruction_id_list", "kwargs")
    )
    if not (isinstance(prompt, str) and isinstance(kinds, list) and isinstance(given, list)):
        raise BadFile(f"{where}: not a prompt with lists of instructions and of their arguments")
    if not kinds or len(kinds) != len(given):
        raise BadFile(f"{where}: {len(kinds)} instructions, {len(given)} times arguments")
    asked = [_instruction(*one, where) for one in zip(kinds, given, strict=True)]
    for at, one in enumerate(asked):  # parts are told apart by their names
        same = sum(other["kind"] == one["kind"] for other in asked[:at])
        one["name"] = f"{one['kind']} {same + 1}" if same else one["kind"]
    messages = [{"role": "user", "content": task.prompt.replace(_PLACE, prompt)}]
    return Item(str(key), messages, {"instructions": asked})


def _instruction(kind: Any, given: Any, where: str) -> dict[str, Any]:
    """The arguments that the checker takes; a table has columns of other kinds, too, all null."""
    if kind not in CHECKERS:
        raise BadFile(f"{where}: nothing is known of the instruction {kind}")
    told = {name: value for name, value in dict(given or {}).items() if value is not None}
    wanted = typing.get_type_hints(CHECKERS[kind])
    names = list(inspect.signature(CHECKERS[kind]).parameters)[1:]
    if told.keys() != set(names):
        raise BadFile(f"{where}: {kind} takes {names}, not {sorted(told)}")
    return {
        "kind": kind,
        "arguments": {name: _value(told[name], wanted[name], f"{where}, {name}") for name in names},
    }


def _value(value: Any, wanted: Any, where: str) -> Any:
    if wanted is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # a table with nulls in it holds floats
    texts = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
    fits = texts if wanted == list[str] else type(value) is wanted
    if not fits or value == "" or (wanted is int and value < 0):
        raise BadFile(f"{where}: {value!r} is no {getattr(wanted, '__name__', wanted)}")
    if where.endswith("relation") and value not in RELATIONS:
        raise BadFile(f"{where}: {value!r} is neither {' nor '.join(RELATIONS)}")
    return value
