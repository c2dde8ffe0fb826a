"""Exact match and F1 of words (SQuAD): without case, marks, articles and extra white space.

F1 is the harmonic mean of the shares of words that answer and reference have in common, each word
as often as both have it; the best reference counts. Where a text has no word left, equality does.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def _words(text: str) -> list[str]:
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return _ARTICLES.sub(" ", kept).split()


def _words_by_lm_eval(text: str) -> list[str]:
    kept = "".join(
        char
        for char in text.lower()
        if char not in string.punctuation and not unicodedata.category(char).startswith("P")
    )
    return _ARTICLES.sub(" ", kept).split()


def _best(
    answer: str,
    references: Sequence[str],
    words: Callable[[str], list[str]],
    score: Callable[[list[str], list[str]], float],
) -> float:
    given = words(answer)
    return max((score(given, words(one)) for one in references), default=0.0)


def _equal(given: list[str], wanted: list[str]) -> float:
    return float(given == wanted)


def _f1(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    return _f1_by_lm_eval(given, wanted)


def _f1_by_lm_eval(given: list[str], wanted: list[str]) -> float:
    common = (Counter(given) & Counter(wanted)).total()
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def exact(answer: str, references: Sequence[str]) -> float:
    return _best(answer, references, _words, _equal)


def f1(answer: str, references: Sequence[str]) -> float:
    return _best(answer, references, _words, _f1)


def lm_eval_exact(answer: str, references: Sequence[str]) -> float:
    """As in its task tydiqa: marks of every script go."""
    return _best(answer, references, _words_by_lm_eval, _equal)


def lm_eval_f1(answer: str, references: Sequence[str]) -> float:
    """The same; without any word in common it is 0, even where both have none."""
    return _best(answer, references, _words_by_lm_eval, _f1_by_lm_eval)


EXACT_RULES = {"canonical": exact, "lm-eval": lm_eval_exact}
F1_RULES = {"canonical": f1, "lm-eval": lm_eval_f1}
