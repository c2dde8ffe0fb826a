"""Questions whose one right call has arguments of a shape that is hard to fill in.

- nested: objects in objects and in lists
- optional: parameters that may be left out, and are to be where the question says nothing of them
- enum: one of some names that the question paraphrases
- union: a parameter of two types
- ambiguous: what must be given is not said, so the right answer is to ask and to call nothing
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from harness.run.tasks.made_values import (
    CITIES,
    DATE,
    INTEGER,
    PEOPLE,
    ROOMS,
    STRING,
    TIME,
    WORDS,
    clock,
    code,
    date,
)

Made = dict[str, Any]


def nested(draw: random.Random) -> Made:
    person, city = draw.choice(PEOPLE), draw.choice(CITIES)
    street, number = draw.choice(("Main Street", "Mill Lane", "Park Road")), draw.randint(1, 99)
    goods = [
        {"code": code(draw), "quantity": draw.randint(1, 20)} for _ in range(draw.randint(1, 3))
    ]
    wanted = " and ".join(f"{one['quantity']} of {one['code']}" for one in goods)
    address = _object({"street": STRING, "number": INTEGER, "city": STRING})
    schema = {
        "customer": _object({"name": STRING, "address": address}),
        "items": {"type": "array", "items": _object({"code": STRING, "quantity": INTEGER})},
    }
    lives = {"street": street, "number": number, "city": city}
    customer = {"name": person, "address": lives}
    return _made(
        f"Order {wanted} for {person}, {street} {number}, {city}.",
        _tool("create_order", "Orders goods for a customer.", schema),
        {"customer": {"accepted": [customer]}, "items": {"accepted": [goods]}},
    )


def optional(draw: random.Random) -> Made:
    city, said = draw.choice(CITIES), {"date": date(draw), "guests": draw.randint(2, 6)}
    given = {name: said[name] for name in said if draw.random() < 0.5}
    breakfast = draw.random() < 0.5
    parts = [f"Find a hotel in {city}"]
    parts += [f"for {given['guests']} guests"] if "guests" in given else []
    parts += [f"on {given['date']}"] if "date" in given else []
    question = " ".join(parts) + (", with breakfast." if breakfast else ".")
    schema = {
        "city": STRING,
        "date": DATE[0],
        "guests": {**INTEGER, "default": 1},
        "breakfast": {"type": "boolean", "default": False},
    }
    expected: Made = {"city": {"accepted": [city]}}
    for name, default in (("date", []), ("guests", [1])):
        found = [given[name]] if name in given else default
        expected[name] = {"accepted": found, "omittable": name not in given}
    expected["breakfast"] = {"accepted": [breakfast], "omittable": not breakfast}
    return _made(question, _tool("find_hotel", "Finds hotels.", schema, ["city"]), expected)


_MODES = {
    "bright": "as bright as it gets",
    "dimmed": "so low that one can barely read",
    "night": "for sleeping, with hardly any glow",
    "party": "in changing colours for tonight's guests",
    "off": "completely dark",
}


_STARTS = {
    "now": "straight away",
    "sunset": "as soon as the sun goes down",
    "midnight": "at twelve at night",
    "sunrise": "when day breaks",
    "arrival": "once somebody comes home",
}


def enum(draw: random.Random) -> Made:
    room, mode, start = draw.choice(ROOMS), draw.choice(list(_MODES)), draw.choice(list(_STARTS))
    schema = {
        "room": {"type": "string", "enum": list(ROOMS)},
        "mode": {"type": "string", "enum": list(_MODES)},
        "start": {"type": "string", "enum": list(_STARTS)},
    }
    said = {"room": room, "mode": mode, "start": start}
    return _made(
        f"Make the {room} {_MODES[mode]}, {_STARTS[start]}.",
        _tool("set_light", "Sets the light of a room, now or later.", schema),
        {name: {"accepted": [one]} for name, one in said.items()},
    )


def union(draw: random.Random) -> Made:
    about, soon = draw.choice(WORDS), draw.random() < 0.5
    when: int | str = draw.randint(2, 55) if soon else clock(draw)
    schema = {
        "about": STRING,
        "when": {
            "anyOf": [
                {"type": "integer", "description": "minutes from now"},
                {"type": "string", "description": "a time, HH:MM"},
            ]
        },
    }
    said = f"in {when} minutes" if soon else f"at {when}"
    return _made(
        f"Remind me {said} about the {about}.",
        _tool("remind", "Reminds the user of something.", schema),
        {"about": {"accepted": [about, f"the {about}"]}, "when": {"accepted": [when]}},
    )


def ambiguous(draw: random.Random) -> Made:
    schemas = {"origin": STRING, "destination": STRING, "date": DATE[0], "time": TIME[0]}
    tool = _tool(
        "book_flight",
        "Books a flight at once and charges the user. Ask first if anything is unknown.",
        schemas,
    )
    start, goal = draw.sample(CITIES, 2)
    said = {
        "origin": f"from {start}",
        "destination": f"to {goal}",
        "date": f"on {date(draw)}",
        "time": f"at {clock(draw)}",
    }
    for name in draw.sample(list(said), draw.randint(1, 3)):
        del said[name]
    question = f"Book me a flight {' '.join(said.values())}."
    return {"question": question, "functions": [tool], "expected": []}


FACETS: dict[str, Callable[[random.Random], Made]] = {
    "nested": nested,
    "optional": optional,
    "enum": enum,
    "union": union,
    "ambiguous": ambiguous,
}


def _object(properties: Made) -> Made:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _tool(name: str, description: str, properties: Made, required: list[str] | None = None) -> Made:
    parameters = _object(properties)
    if required is not None:
        parameters["required"] = required
    return {"name": name, "description": description, "parameters": parameters}


def _made(question: str, tool: Made, expected: Made) -> Made:
    return {
        "question": question,
        "functions": [tool],
        "expected": [{tool["name"]: expected}],
    }
