"""The language of an answer, and its letters' case, which is asked of English alone.

langdetect tells the language, as in the original; its draws are seeded here, so a text has one
language for ever. A text that has nothing to tell it by counts as in the language that is wanted.
"""

from __future__ import annotations

import re

from harness.run.tasks.ifeval.arguments import Checker, enough

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


def response_language(text: str, *, language: str) -> bool:
    return _is(text, language)


def english_capital(text: str) -> bool:
    return text.isupper() and _is(text, "en")


def english_lowercase(text: str) -> bool:
    return text.islower() and _is(text, "en")


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Words without a small letter and with a capital one; parts joined by a hyphen are one."""
    capital = sum(1 for word in _WORD.findall(text) if word.isupper())
    return enough(capital, capital_relation, capital_frequency)


def _is(text: str, language: str) -> bool:
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0
    try:
        return bool(detect(text) == language)
    except LangDetectException:
        return True


CHECKERS: dict[str, Checker] = {
    "language:response_language": response_language,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "change_case:capital_word_frequency": capital_word_frequency,
}
