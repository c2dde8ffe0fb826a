"""Words and letters that an answer must have, or must not.

A keyword is a text, found inside longer words too; upper and lower case are alike.
"""

from __future__ import annotations

import re

from harness.run.tasks.ifeval.arguments import Checker, enough


def existence(text: str, *, keywords: list[str]) -> bool:
    return all(_count(word, text) for word in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    return enough(_count(keyword.strip(), text), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: list[str]) -> bool:
    """As words of their own only: "cat" is not in "cats"."""
    return not any(
        re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words
    )


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """Any one character counts as a letter: the data set asks for "#" and "!", too."""
    return enough(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _count(word: str, text: str) -> int:
    return len(re.findall(re.escape(word), text, re.IGNORECASE))


CHECKERS: dict[str, Checker] = {
    "keywords:existence": existence,
    "keywords:frequency": frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
}
