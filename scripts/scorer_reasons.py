"""Why the canonical rule and another one score a pair differently: one known cause per line.

Most causes are shown, not guessed: the pair is changed so that the cause is gone, and then the two
rules agree.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

from harness.run.tasks.scorers import CANONICAL, FAMILIES, choice_letter, containment

Change = Callable[[str], str]
Test = Callable[[str, Sequence[str]], bool]


def reason(family: str, rule: str, answer: str, references: Sequence[str]) -> str | None:
    """The first known cause that applies, or None."""
    causes = _CAUSES.get(f"{family}/{rule}", [])
    return next((why for why, applies in causes if applies(answer, references)), None)


def _gone(family: str, rule: str, change: Change) -> Test:
    """Whether the rules agree once `change` is made to answer and references."""

    def applies(answer: str, references: Sequence[str]) -> bool:
        changed = change(answer), [change(one) for one in references]
        rules = FAMILIES[family]
        return abs(rules[rule](*changed) - rules[CANONICAL](*changed)) < 1e-9

    return applies


def _fewer(family: str, rule: str, keep: Callable[[str], bool]) -> Test:
    """The same, once only some references are kept."""

    def applies(answer: str, references: Sequence[str]) -> bool:
        kept = [one for one in references if keep(one)]
        rules = FAMILIES[family]
        return rules[rule](answer, kept) == rules[CANONICAL](answer, kept)

    return applies


def _any(pattern: str) -> Test:
    found = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda answer, references: any(found.search(one) for one in (answer, *references))


def _even(text: str) -> str:
    return " ".join(text.split())


def _plain_number(text: str) -> str:
    return text.replace(",", "").replace("$", "")


def _unmarked(text: str) -> str:
    return text.strip().rstrip(string.punctuation)


def _ascii_marks(text: str) -> str:
    return "".join(char for char in text if char.isalnum() or char.isspace() or ord(char) < 128)


def _spoken(text: str) -> str:
    return text.lower().replace(",", "").replace("?", "").replace("'s", " 's")


def _at_border(answer: str, references: Sequence[str]) -> bool:
    try:
        given, wanted = float(answer), float(references[0])
    except ValueError:
        return False
    return wanted != 0 and abs(abs(given - wanted) / abs(wanted) - 0.05) < 1e-9


def _half(answer: str, references: Sequence[str]) -> bool:
    even = _even(answer), [_even(one) for one in references]
    return abs(FAMILIES["anls"]["lmms-eval"](*even) - 0.5) < 1e-9


_AT_BORDER = "at exactly 5% the rounding of binary fractions decides"
_SPACE = "white space around an answer makes it another text"
_FLOAT = "nan, inf and 1_000 are numbers, as Python's float reads them"
_NO_POINTS = _gone("vqa_accuracy", "lmms-eval textvqa", lambda text: text.replace(".", ""))

_CAUSES: dict[str, list[tuple[str, Test]]] = {
    "anls/lmms-eval": [
        (
            "the distance, which ignores white space, is divided by a length that counts it",
            _gone("anls", "lmms-eval", _even),
        ),
        ("a likeness of exactly one half is kept", _half),
    ],
    "choice_letter/lmms-eval": [
        (
            "any capital A to D is taken for the choice, in a sentence or a word too",
            lambda answer, _: choice_letter.letter(answer) is None,
        ),
        (
            "of several letters a first or last one counts more than what is said",
            lambda answer, _: len(set(re.findall("[A-D]", answer))) > 1,
        ),
        (
            "a final point of the reference is not deleted, that of the answer is",
            lambda _, references: references[0].endswith("."),
        ),
    ],
    "containment/lmms-eval": [
        ("an empty reference is in every answer", _fewer("containment", "lmms-eval", bool)),
        (
            "full-width letters are taken for the usual ones",
            _gone("containment", "lmms-eval", lambda text: text.translate(containment.FULL_WIDTH)),
        ),
    ],
    "formula_containment/lmms-eval": [
        ("an empty reference is in every answer", _fewer("formula_containment", "lmms-eval", bool)),
    ],
    "exact_match/lm-eval": [
        ("marks beyond ASCII are deleted too", _gone("exact_match", "lm-eval", _ascii_marks)),
    ],
    "f1/lm-eval": [
        ("marks beyond ASCII are deleted too", _gone("f1", "lm-eval", _ascii_marks)),
        (
            "two texts of nothing but articles and marks are 0, though they are equal",
            lambda answer, references: FAMILIES["exact_match"][CANONICAL](answer, references) == 1,
        ),
    ],
    "relaxed_accuracy/lmms-eval": [
        (_SPACE, _gone("relaxed_accuracy", "lmms-eval", str.strip)),
        (_FLOAT, _any(r"nan|inf|\d_\d")),
        (
            "a reference of zero is a text, so 0.0 is not 0",
            lambda _, references: not references[0].strip(" 0.,-%e+"),
        ),
        (_AT_BORDER, _at_border),
        ("several % are one", _any("%%")),
    ],
    "relaxed_accuracy/lm-eval": [
        (_SPACE, _gone("relaxed_accuracy", "lm-eval", str.strip)),
        (_FLOAT, _any(r"nan|inf|\d_\d")),
        ("a percentage also counts as the bare number", _any(r"\d%+$")),
        (
            "final marks are deleted, of texts only from the answer",
            _gone("relaxed_accuracy", "lm-eval", _unmarked),
        ),
        (
            "commas and dollar signs are deleted",
            _gone("relaxed_accuracy", "lm-eval", _plain_number),
        ),
        (
            "commas, dollar signs and final marks are deleted",
            _gone("relaxed_accuracy", "lm-eval", lambda text: _unmarked(_plain_number(text))),
        ),
        (
            "quotes around an answer are deleted",
            _gone("relaxed_accuracy", "lm-eval", lambda text: text.strip("\"'")),
        ),
        (
            "where the reference is one letter, only the first letter of the answer counts",
            lambda _, references: len(references[0].strip()) == 1,
        ),
        (_AT_BORDER, _at_border),
    ],
    "vqa_accuracy/lmms-eval textvqa": [
        ("only the first 32 points are deleted", _NO_POINTS),
    ],
    "vqa_accuracy/lmms-eval vqav2": [
        (
            "a comma or question mark inside a word becomes a space, and 's stays at its word",
            _gone("vqa_accuracy", "lmms-eval vqav2", _spoken),
        ),
        (
            "only the first 32 points are deleted",
            _gone("vqa_accuracy", "lmms-eval vqav2", lambda text: text.replace(".", "")),
        ),
    ],
}  # fmt: skip
