"""The task kind "json_answers": a sentence to be written as JSON that a schema describes.

The rows are made here from the task's seed: facts about a made person, in a sentence, and a schema
in which they are flat, nested, in a list, one of an enumeration, or null where the sentence says
nothing. The id begins with which. Only the prompt asks for JSON, or a grammar holds the model to it
as well: two arms, told apart by the task's option.

The schemas use the keywords that `breaks` knows and no others.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.ask.task_options import JsonAnswers
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Respondent, Score, made_calls, tool_calls, wheel_data
from harness.run.tasks.made_values import CITIES, INTEGER, LANGUAGES, PEOPLE, STRING, WORDS

VERSION = 1

OUTCOMES = {
    "not_json": "the answer is not one JSON value and nothing else",
    "fenced": "nothing but a code fence around JSON that follows the schema",
    "breaks_schema": "JSON that the schema does not allow",
    "wrong_value": "JSON that follows the schema, with a value that the sentence does not give",
    "exact": "JSON that follows the schema, with the values of the sentence",
}

_PLACE = "{{ schema }}"
_FENCE = re.compile(r"\s*```(?:json)?\n(.*)\n```\s*", re.DOTALL)
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "null": type(None),
}
_NULL = {"type": "null"}
_LEVELS = ("beginner", "good", "fluent")


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned; `data` is not read.

    Raises BadFile for a prompt without its place for the schema, UserError for too high a limit.
    """
    count = wheel_data.count(task, limit)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    return made_calls.distinct(task, list(_FACETS), lambda id_, draw: _item(task, id_, draw))[
        :count
    ]


def needs(task: Task) -> dict[str, str]:
    return {"llguidance": "grammar"} if _held(task) else {}


def beyond_messages(task: Task) -> str | None:
    return "a grammar over the answer" if _held(task) else None


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    schema = item.payload["schema"] if _held(task) else None
    return respondent.answer(item.messages, task.max_new_tokens, schema=schema)


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it."""
    outcome, detail = _outcome(item.payload, output)
    if outcome == "not_json" and (fence := _FENCE.fullmatch(output)):
        inner, _ = _outcome(item.payload, fence[1])
        if inner in ("exact", "wrong_value"):
            outcome, detail = "fenced", f"within the fence: {inner}"
    return Score(outcome, outcome == "exact", tool_calls.shortened(detail))


def _held(task: Task) -> bool:
    return isinstance(task.options, JsonAnswers) and task.options.grammar


def _outcome(payload: dict[str, Any], text: str) -> tuple[str, str]:
    try:
        given = json.loads(text)
        broken = breaks(payload["schema"], given)
        right = broken is None and made_calls.same(given, payload["wanted"])
    except (ValueError, RecursionError) as error:
        return "not_json", str(error)
    if broken is not None:
        return "breaks_schema", broken
    return ("exact", "") if right else ("wrong_value", f"not {json.dumps(payload['wanted'])}")


def breaks(schema: dict[str, Any], value: Any, place: str = "the answer") -> str | None:
    """Where and how a value breaks a schema: types, objects, lists, enum and anyOf."""
    if "anyOf" in schema:
        fits = any(breaks(one, value, place) is None for one in schema["anyOf"])
        return None if fits else f"{place} is of no type that is allowed"
    if not _is_a(schema["type"], value):
        return f"{place} is no {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is none of {schema['enum']}"
    parts: list[tuple[dict[str, Any], Any, str]] = []
    if schema["type"] == "object":
        if wrong := schema["properties"].keys() ^ value.keys():
            return f"{place} lacks or invents {min(wrong)!r}"
        parts = [(one, value[key], key) for key, one in schema["properties"].items()]
    elif schema["type"] == "array":
        parts = [(schema["items"], one, f"{place}[{at}]") for at, one in enumerate(value)]
    return next((told for part in parts if (told := breaks(*part))), None)


def _is_a(kind: str, value: Any) -> bool:
    if kind == "integer":  # 5.0 is an integer to JSON Schema
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and value == value // 1
    return isinstance(value, _TYPES[kind])


def _item(task: Task, id_: str, draw: random.Random) -> Item:
    sentence, properties, wanted = _FACETS[id_.split("-")[0]](draw)
    schema = _object(properties)
    system = task.prompt.replace(_PLACE, json.dumps(schema))
    messages = [{"role": "system", "content": system}, {"role": "user", "content": sentence}]
    return Item(id_, messages, {"schema": schema, "wanted": wanted})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


Made = tuple[str, dict[str, Any], dict[str, Any]]
"""A sentence, the properties of the schema, and the object that is right."""


def _flat(draw: random.Random) -> Made:
    name, city, age = draw.choice(PEOPLE), draw.choice(CITIES), draw.randint(18, 90)
    schema = {"name": STRING, "age": INTEGER, "city": STRING}
    wanted = {"name": name, "age": age, "city": city}
    return f"{name} is {age} years old and lives in {city}.", schema, wanted


def _nested(draw: random.Random) -> Made:
    name, city, street = draw.choice(PEOPLE), draw.choice(CITIES), f"{draw.choice(WORDS)} street"
    number = draw.randint(1, 200)
    place = _object({"street": STRING, "number": INTEGER})
    schema = {"name": STRING, "address": _object({"city": STRING, "place": place})}
    inner = {"city": city, "place": {"street": street, "number": number}}
    said = f"{name} lives in {city}. The street is called {street}, the number is {number}."
    return said, schema, {"name": name, "address": inner}


def _listed(draw: random.Random) -> Made:
    bought = [{"thing": thing, "count": draw.randint(2, 40)} for thing in draw.sample(WORDS, 3)]
    said = ", then ".join(f"{one['count']} {one['thing']}" for one in bought)
    schema = {"bought": {"type": "array", "items": _object({"thing": STRING, "count": INTEGER})}}
    return f"{draw.choice(PEOPLE)} bought {said}.", schema, {"bought": bought}


def _enumerated(draw: random.Random) -> Made:
    name, language = draw.choice(PEOPLE), draw.choice(LANGUAGES)
    level = draw.choice(_LEVELS)
    said = {
        "beginner": "has just started to learn",
        "good": "speaks rather well, with some mistakes,",
        "fluent": "speaks like a native",
    }
    schema = {"name": STRING, "language": STRING, "level": {"type": "string", "enum": [*_LEVELS]}}
    wanted = {"name": name, "language": language, "level": level}
    return f"{name} {said[level]} {language}.", schema, wanted


def _null(draw: random.Random) -> Made:
    name, city = draw.choice(PEOPLE), draw.choice(CITIES)
    age, phone = draw.randint(18, 90), str(draw.randint(100_000, 999_999))
    known = draw.random() < 0.5
    schema = {
        "name": STRING,
        "age": {"anyOf": [INTEGER, _NULL]},
        "phone": {"anyOf": [STRING, _NULL]},
    }
    said = f"{name} from {city} is {age} years old." if known else f"Call {name} at {phone}."
    wanted = {"name": name, "age": age if known else None, "phone": None if known else phone}
    return f"{said} Write null for what is not said.", schema, wanted


_FACETS: dict[str, Callable[[random.Random], Made]] = {
    "flat": _flat,
    "nested": _nested,
    "listed": _listed,
    "enumerated": _enumerated,
    "null": _null,
}
