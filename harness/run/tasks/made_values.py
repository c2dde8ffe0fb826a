"""Values that made questions are about: drawn from short lists, written as a text and as JSON."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

CITIES = (
    "Paris", "Oslo", "Lima", "Cairo", "Tokyo", "Lisbon", "Prague", "Dublin", "Vienna", "Nairobi",
    "Toronto", "Seoul", "Athens", "Havana", "Helsinki", "Riga",
)  # fmt: skip
PEOPLE = (
    "Anna", "Boris", "Chloe", "David", "Elena", "Farid", "Grace", "Hugo", "Irene", "Jonas",
    "Katya", "Liam", "Maria", "Nils", "Olga", "Pedro", "Quinn", "Rosa", "Stefan", "Tara", "Umar",
    "Vera", "Walid", "Xenia",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CURRENCIES = ("EUR", "USD", "JPY", "GBP", "CHF", "SEK")
LANGUAGES = ("German", "French", "Spanish", "Italian", "Polish", "Swahili")
ROOMS = ("kitchen", "bedroom", "hall", "office", "garage", "bathroom")
WORDS = (
    "bread", "milk", "paper", "coffee", "lamps", "chairs", "pens", "apples", "cables", "tea",
    "screws", "candles",
)  # fmt: skip

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
Slot = tuple[dict[str, Any], Callable[[random.Random], Any]]
"""The JSON schema of a parameter, and a value for it."""


def one_of(values: tuple[str, ...]) -> Slot:
    return STRING, lambda draw: draw.choice(values)


def among(values: tuple[str, ...]) -> Slot:
    """The same, with the values told to the model."""
    return {"type": "string", "enum": list(values)}, lambda draw: draw.choice(values)


def whole(low: int, high: int) -> Slot:
    return INTEGER, lambda draw: draw.randint(low, high)


def amount(low: int, high: int) -> Slot:
    """A number with a half, so that it is no integer."""
    return NUMBER, lambda draw: draw.randint(low, high) + 0.5


def clock(draw: random.Random) -> str:
    return f"{draw.randint(8, 21):02}:{draw.choice(['00', '15', '30', '45'])}"


def date(draw: random.Random) -> str:
    return f"2026-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"


def code(draw: random.Random) -> str:
    return f"{draw.choice('ABCDEFGH')}{draw.randint(100, 999)}"


CITY, PERSON, DAY, WORD, ROOM = map(one_of, (CITIES, PEOPLE, DAYS, WORDS, ROOMS))
TIME: Slot = ({"type": "string", "description": "HH:MM"}, clock)
DATE: Slot = ({"type": "string", "description": "YYYY-MM-DD"}, date)
CODE: Slot = (STRING, code)
