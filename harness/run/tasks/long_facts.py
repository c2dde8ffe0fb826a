"""What is hidden in long texts, and what is asked of it: one maker for each task of long context.

The shapes are RULER's: one fact; one among several that look alike; a chain of variables; and in
place of its questions from Wikipedia, which a model may know, facts that have to be joined.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from harness.run.tasks.made_values import PEOPLE

KEYS = 4
"""Of these facts one is asked for: as many as in RULER's first retrieval with several keys."""
HOPS = 4
"""Assignments after the first one, in one chain: as in RULER's variable tracking."""

COLOURS = (
    "amber", "azure", "beige", "crimson", "emerald", "golden", "indigo", "ivory", "lilac", "maroon",
    "olive", "orange", "pink", "purple", "scarlet", "silver", "teal", "turquoise", "violet",
)  # fmt: skip
ANIMALS = (
    "badger", "beaver", "camel", "dolphin", "eagle", "falcon", "ferret", "gazelle", "heron", "ibex",
    "jackal", "koala", "leopard", "lynx", "magpie", "otter", "panther", "raven", "tiger", "walrus",
)  # fmt: skip
TOWNS = (
    "Altona", "Brenmark", "Corvale", "Dunmere", "Elvorn", "Farholt", "Grimsted", "Halvik", "Istren",
    "Jorvale", "Kelmont", "Lorwick", "Marsten", "Norhaven", "Ostvale", "Pelham",
)  # fmt: skip
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Without vowels: the name of a variable is no part of a word."""


@dataclass(frozen=True)
class Hidden:
    """Facts with their depths in the text (0 to 1, those of a chain in its order), and a question.

    An answer is right if it holds all `references`, each of which the facts hold just once or, of a
    variable that the next one is set to, twice.
    """

    facts: list[tuple[float, str]]
    question: str
    references: list[str]


def needle(draw: random.Random, depth: float) -> Hidden:
    """One fact, at `depth`."""
    name, code = f"{draw.choice(COLOURS)} {draw.choice(ANIMALS)}", _number(draw)
    return Hidden([(depth, _code(name, code))], _ask_code(name), [code])


def multi_key(draw: random.Random, depth: float) -> Hidden:
    """The fact that is asked for at `depth`; the others share a word with it and lie anywhere."""
    colours, animals = draw.sample(COLOURS, KEYS), draw.sample(ANIMALS, KEYS)
    name, code = f"{colours[0]} {animals[0]}", _number(draw)
    pairs = [(colours[0], animals[1]), (colours[1], animals[0]), (colours[2], animals[3])]
    facts = [(draw.random(), _code(" ".join(pair), _number(draw))) for pair in pairs]
    return Hidden([(depth, _code(name, code)), *facts], _ask_code(name), [code])


def variable_tracking(draw: random.Random, depth: float) -> Hidden:
    """A chain of assignments in its order, one in each fifth; `depth` is the first one's in its."""
    names: list[str] = []
    while len(names) <= HOPS:
        name = "".join(draw.choices(_LETTERS, k=5))
        names += [name] if name not in names else []
    value = str(draw.randint(10_000, 99_999))
    said = [f"Set {names[0]} to {value}."]
    said += [f"Set {name} to {before}." for before, name in pairwise(names)]
    within = (depth, *(draw.random() for _ in range(HOPS)))
    facts = [((at + within[at]) / len(said), one) for at, one in enumerate(said)]
    question = (
        f"Which {len(names)} variables have the value {value}, directly or through others? "
        f"Write all {len(names)} names."
    )
    return Hidden(facts, question, names)


def multi_hop(draw: random.Random, depth: float) -> Hidden:
    """Whose animal, who lives where, what code has the place: three facts to be joined, of twelve.

    The first of the three lies at `depth`, all others anywhere, in any order.
    """
    colours, animals = draw.sample(COLOURS, KEYS), draw.sample(ANIMALS, KEYS)
    people, towns = draw.sample(PEOPLE, KEYS), draw.sample(TOWNS, KEYS)
    codes = [_number(draw) for _ in range(KEYS)]
    facts = []
    for colour, animal, person, town, code in zip(
        colours, animals, people, towns, codes, strict=True
    ):
        said = (
            f"The {colour} {animal} belongs to {person}.",
            f"{person} lives in the town of {town}.",
            f"The gate code of {town} is {code}.",
        )
        facts += [(draw.random(), one) for one in said]
    facts[0] = (depth, facts[0][1])
    question = (
        f"What is the gate code of the town in which the owner of the {colours[0]} {animals[0]} "
        "lives? Answer with the number."
    )
    return Hidden(facts, question, [codes[0]])


MAKERS: dict[str, Callable[[random.Random, float], Hidden]] = {
    "needle": needle,
    "multi_key": multi_key,
    "variable_tracking": variable_tracking,
    "multi_hop": multi_hop,
}


def _code(name: str, code: str) -> str:
    return f"The access code of the {name} is {code}."


def _ask_code(name: str) -> str:
    return f"What is the access code of the {name}? Answer with the number."


def _number(draw: random.Random) -> str:
    return str(draw.randint(1_000_000, 9_999_999))
