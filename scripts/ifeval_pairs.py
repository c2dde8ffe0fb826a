"""Instructions and answers on which IFEval's checkers are compared: made from a seed, and stored.

A number that an instruction asks for is near what the answer has: that is where rules part.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.run import store
from harness.run.records import ItemData
from harness.run.tasks.ifeval.length import sentences

Case = tuple[str, dict[str, Any], str]
"""The instruction's kind, its arguments, an answer."""

LINES = [
    "The weather was fine and we went for a walk.", "Mr. Smith met Dr. J. Doe at 5 p.m. today!",
    "1. First, take the pan.", "2. Then heat it... slowly.", "* a point", "- another point",
    "** not a point **", "*high* and **higher**", "* *", "***", "******", "Section 1",
    "SECTION 2", "Paragraph 3", "<<A title>>", "<<>>", "[name] and [address]", "[open\nend]",
    "P.S. One more", "p. p. s later", "P.P.S again", '"Quoted," he said.', '{"a": [1, 2]}',
    "```json\n{}\n```", "```", "My answer is yes.", "My answer is maybe", "I AM VERY LOUD",
    "DON'T SHOUT, U.S.A.!", "A WELL-MADE X", "das Wetter war heute sehr schön und warm",
    "il fait très beau aujourd'hui", "No. 5 is alive?",
    "It costs $3.50 at shop.com. Really?! Yes", "Cats, cat and catalogue: rain, Rain, RAIN", "",
    "e.g. this", "all small letters in this one here", "ALL CAPITAL LETTERS IN THIS ONE HERE",
    "# one ! two", "naïve café", "Is there anything else I can help with?", "The end.",
    'He left. "Why?" she asked. Nobody knew.', "北京很大。真的！", "I. The king. II. The queen",
    "Wait (really?) yes. ok", "Visit St. John's on Main St. Now.",
]  # fmt: skip
WORDS = ["cat", "rain", "C++", "a.b", "the", "(x)", "walk", "Café", "very loud", "ok?"]
RELATIONS = ["less than", "at least"]
LETTERS = "aeirtxqz#!é"


def _text(draw: random.Random) -> str:
    lines = draw.choices(LINES, k=draw.choice([1, 1, 2, 3, 4, 6, 8]))
    return draw.choice(["\n", "\n", "\n\n", " "]).join(lines)


def _near(draw: random.Random, count: int) -> int:
    return max(0 if draw.random() < 0.05 else 1, count + draw.choice([-1, 0, 0, 1]))


def _counted(
    name: str, relation: str | None, count: Callable[[str], int]
) -> Callable[[random.Random, str], dict[str, Any]]:
    def arguments(draw: random.Random, text: str) -> dict[str, Any]:
        told: dict[str, Any] = {name: _near(draw, count(text))}
        return told | ({relation: draw.choice(RELATIONS)} if relation else {})

    return arguments


def _frequency(draw: random.Random, text: str) -> dict[str, Any]:
    word = draw.choice(WORDS)
    count = text.lower().count(word.lower())
    return {
        "keyword": word,
        "frequency": _near(draw, count),
        "relation": draw.choice(RELATIONS),
    }


def _letters(draw: random.Random, text: str) -> dict[str, Any]:
    letter = draw.choice(LETTERS)
    return {
        "letter": letter,
        "let_frequency": _near(draw, text.lower().count(letter)),
        "let_relation": draw.choice(RELATIONS),
    }


def _first_word(draw: random.Random, text: str) -> dict[str, Any]:
    parts = [part for part in text.split("\n\n") if part.strip()]
    words = re.findall(r"\w+", draw.choice(parts or ["x"])) or ["x"]
    count = _near(draw, len(parts)) or 1
    return {
        "num_paragraphs": count,
        "nth_paragraph": draw.randint(1, count),
        "first_word": draw.choice([words[0], words[0].upper(), draw.choice(words)]),
    }


def _ending(draw: random.Random, text: str) -> dict[str, Any]:
    own = text.strip()[-draw.randint(3, 12) :].strip() or "x"
    return {"end_phrase": draw.choice([own, own.upper(), "The end.", f" {own}"])}


def _prompt(draw: random.Random, text: str) -> dict[str, Any]:
    own = text[: draw.randint(3, 20)].strip() or "x"
    return {"prompt_to_repeat": draw.choice([own, own.upper(), draw.choice(LINES[:5])])}


def _nothing(draw: random.Random, text: str) -> dict[str, Any]:
    return {}


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def _found(pattern: str) -> Callable[[str], int]:
    return lambda text: len(re.findall(pattern, text, re.MULTILINE))


def _capital(text: str) -> int:
    return sum(word.isupper() for word in text.split())


ARGUMENTS: dict[str, Callable[[random.Random, str], dict[str, Any]]] = {
    "keywords:existence": lambda draw, _: {"keywords": draw.sample(WORDS, draw.randint(1, 2))},
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": lambda draw, _: {
        "forbidden_words": draw.sample(WORDS, draw.randint(1, 2))
    },
    "keywords:letter_frequency": _letters,
    "language:response_language": lambda draw, _: {"language": draw.choice(["en", "de", "fr"])},
    "length_constraints:number_sentences": _counted("num_sentences", "relation", sentences),
    "length_constraints:number_paragraphs": _counted(
        "num_paragraphs", None, lambda text: len(text.split("***"))
    ),
    "length_constraints:number_words": _counted("num_words", "relation", _words),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _counted(
        "num_placeholders", None, _found(r"\[.*?\]")
    ),
    "detectable_content:postscript": lambda draw, _: {
        "postscript_marker": draw.choice(["P.S.", "P.P.S", "N.B."])
    },
    "detectable_format:number_bullet_lists": _counted("num_bullets", None, _found(r"^\s*[*-]")),
    "detectable_format:constrained_response": _nothing,
    "detectable_format:number_highlighted_sections": _counted(
        "num_highlights", None, _found(r"\*[^\n*]*\*")
    ),
    "detectable_format:multiple_sections": lambda draw, text: {
        "section_spliter": draw.choice(["Section", "SECTION", "Paragraph"]),
        "num_sections": _near(draw, text.count("Section")),
    },
    "detectable_format:json_format": _nothing,
    "detectable_format:title": _nothing,
    "combination:two_responses": _nothing,
    "combination:repeat_prompt": _prompt,
    "startend:end_checker": _ending,
    "startend:quotation": _nothing,
    "change_case:capital_word_frequency": _counted(
        "capital_frequency", "capital_relation", _capital
    ),
    "change_case:english_capital": _nothing,
    "change_case:english_lowercase": _nothing,
    "punctuation:no_comma": _nothing,
}


def _changed(kind: str, draw: random.Random, text: str) -> str:
    """Often such that the instruction is nearly followed."""
    ways: dict[str, list[Callable[[], str]]] = {
        "change_case:english_capital": [text.upper],
        "change_case:english_lowercase": [text.lower],
        "startend:quotation": [lambda: f'"{text}"', lambda: f'"{text}'],
        "detectable_format:json_format": [lambda: '{"a": 1}', lambda: f"```JSON\n[1]\n```\n{text}"],
        "combination:two_responses": [lambda: f"{text}\n******\n{draw.choice(LINES)}"],
        "startend:end_checker": [lambda: f'"{text}"'],
        "length_constraints:number_paragraphs": [lambda: f"***\n{text}\n***"],
    }
    plain = [lambda: text, lambda: text, lambda: f"Sure!\n{text}", lambda: f"{text}\nBye."]
    return draw.choice([*plain, *ways.get(kind, []) * 4])()


def made(count: int) -> list[Case]:
    """`count` cases of each kind, the same on every machine."""
    found = []
    for kind, arguments in ARGUMENTS.items():
        draw = random.Random(f"{kind} 1")
        for _ in range(count):
            text = _changed(kind, draw, _text(draw))
            found.append((kind, arguments(draw, text), text))
    return found


def recorded(results: Path) -> Iterator[Case]:
    """What models of stored runs really said, each under an instruction of every kind in turn."""
    draw, kinds, seen = random.Random(2), list(ARGUMENTS), set[str]()
    for folder, run in store.runs(results):
        for sample in store.read_samples(folder) if run.task else ():
            if isinstance(sample.data, ItemData) and sample.data.output not in seen:
                seen.add(text := sample.data.output[:1500])
                kind = kinds[len(seen) % len(kinds)]
                yield kind, ARGUMENTS[kind](draw, text), text
