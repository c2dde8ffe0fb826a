"""Answers and references on which scorers are compared: made from a seed, and from stored runs.

An answer is near its reference on purpose: another case, marks, spaces, units, a sentence around
it, a typing error. That is where rules part.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.run import store
from harness.run.records import ItemData

Pair = tuple[str, list[str]]

WORDS = [
    "red", "Blue", "the cat", "a dog", "New York", "7-up", "U.S.A.", "don't", "dont", "it's", "two",
    "none", "ten", "Yes", "no", "3 apples", "Coca-Cola", "St. John's", "2nd Ave.", "naïve", "北京",
    "Ｆｕｌｌ", "stop!", "e-mail", "x_y", "(left)", '"quoted"', "couldntve", "12/25/2010", "a",
    "the", "left; right", "half & half", "the end.", "¿qué?",
]  # fmt: skip
LETTERS = list("ABCD")
SHAPES = [
    "{}", "({})", "{}.", "{})", "{}:", "The answer is {}.", "Answer: {}", "answer is ({})",
    "The correct option is {}", "{}. Two dogs", "I think {} is right", "A dog. So {}",
    "Option {}", "**{}**", "\n{}\n", "Because of this,\n{}", "it is {} or C", "(A) or ({})",
    "{} and B", "All of them", "I choose {}", "choice {}?", "'{}'", "None", "a cat", "{}'s hat",
    "The answer is not {} but C", "答案是{}", "Both (A) and (B)", "ABCD", "Car {}",
]  # fmt: skip
SENTENCES = [
    "The answer is {}.",
    "It says {}",
    "{} is written there",
    "{}\n",
    " {} ",
    "{}, I think",
]


def number(draw: random.Random) -> str:
    value = draw.choice([0, 1, 5, 17, 42, 100, 1998, 12000, 0.5, 3.14, 27.5, 0.001, 1234567])
    text = draw.choice(
        [f"{value}", f"{value:,}", f"-{value}", f"${value}", f"{value}%", f"{value}."]
    )
    return draw.choice(
        [text] * 6 + [f"{value:e}", f"{float(value)}", "nan", "inf", "1_000", f"{value} kg"]
    )


def changed(text: str, draw: random.Random) -> str:
    """`text` as another would write it, or nearly."""
    at = draw.randrange(len(text) + 1)
    ways: list[Callable[[], str]] = [
        lambda: text,
        text.upper,
        text.lower,
        lambda: f" {text} ",
        lambda: text.replace(" ", "  "),
        lambda: text.replace(" ", "\n"),
        lambda: text + draw.choice(".,!?;:%"),
        lambda: text[:at] + text[at + 1 :],
        lambda: text[:at] + draw.choice("aZ 5.,-'") + text[at:],
        lambda: draw.choice(SENTENCES).format(text),
        lambda: f"the {text}",
        lambda: f'"{text}"',
        lambda: text.replace("-", " ").replace(".", "").replace("Ｆｕｌｌ", "Full"),
        lambda: text + " " * draw.randrange(20),
        lambda: "",
    ]
    return draw.choice(ways)()


def _texts(draw: random.Random, references: int) -> Pair:
    wanted = [
        draw.choice([draw.choice(WORDS), draw.choice(WORDS), number(draw)])
        for _ in range(references)
    ]
    answer = changed(draw.choice(wanted), draw)
    return (changed(answer, draw) if draw.random() < 0.3 else answer), wanted


def _annotated(draw: random.Random) -> Pair:
    answer, (first, other) = _texts(draw, 2)
    said = [draw.choice([first, first, changed(first, draw), other]) for _ in range(10)]
    points = "." * 40 if draw.random() < 0.02 else ""
    return answer + points, said


def _numbers(draw: random.Random) -> Pair:
    wanted = draw.choice([number(draw), number(draw), draw.choice(WORDS), draw.choice(LETTERS)])
    close = changed(wanted, draw)
    with contextlib.suppress(ValueError):
        near = float(wanted) * draw.choice([1.04, 0.95, 1.051, 100, 0.01])
        close = draw.choice([close, str(near)])
    return close, [wanted]


def _solutions(draw: random.Random) -> Pair:
    wanted = number(draw)
    said = draw.choice([wanted, changed(wanted, draw), number(draw)])
    shapes = [
        "#### {}",
        "so 2 + 2 = {}\n#### {}",
        "It is {}.",
        "{} eggs",
        "####{}",
        "#### {} #### 7",
    ]
    shape = draw.choice([*shapes, "no idea", "", "$ {}", "costs {}..", "1. one\n2. {}"])
    return shape.replace("{}", said), [f"Some steps.\n#### {wanted}"]


def _choices(draw: random.Random) -> Pair:
    shape, letter = draw.choice(SHAPES), draw.choice(LETTERS)
    said = shape.format(letter) if draw.random() < 0.8 else changed(shape.format(letter), draw)
    wanted = draw.choice([letter, letter, draw.choice(LETTERS), letter.lower(), "Downhill", "0"])
    return (said if wanted in (*LETTERS, letter.lower()) else changed(wanted, draw)), [wanted]


def _contained(draw: random.Random) -> Pair:
    wanted = [
        draw.choice([*WORDS, number(draw), r"\frac { a } { b }"])
        for _ in range(draw.choice([1, 1, 3]))
    ]
    if draw.random() < 0.02:
        wanted.append("")
    return changed(draw.choice(SENTENCES).format(changed(wanted[0], draw)), draw), wanted


MAKERS: dict[str, Callable[[random.Random], Pair]] = {
    "anls": lambda draw: _texts(draw, draw.choice([1, 2, 3])),
    "choice_letter": _choices,
    "containment": _contained,
    "formula_containment": _contained,
    "exact_match": lambda draw: _texts(draw, draw.choice([1, 2, 3])),
    "f1": lambda draw: _texts(draw, draw.choice([1, 2, 3])),
    "final_number_strict": _solutions,
    "final_number_flexible": _solutions,
    "relaxed_accuracy": _numbers,
    "vqa_accuracy": _annotated,
}


def made(family: str, count: int) -> list[Pair]:
    """`count` different pairs, the same on every machine."""
    draw, found = random.Random(f"{family} 1"), {}
    while len(found) < count:
        answer, references = MAKERS[family](draw)
        found[answer, tuple(references)] = (answer, references)
    return list(found.values())


def recorded(family: str, results: Path) -> Iterator[Pair]:
    """What models of stored runs really said, each against references made for the family."""
    draw = random.Random(f"{family} 2")
    for folder, run in store.runs(results):
        for sample in store.read_samples(folder) if run.task else ():
            if isinstance(sample.data, ItemData):
                _, references = MAKERS[family](draw)
                words = sample.data.output.split() or ["nothing"]
                yield sample.data.output[:500], [draw.choice(words), *references[1:]]
