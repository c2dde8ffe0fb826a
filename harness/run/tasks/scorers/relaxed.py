"""Relaxed accuracy (ChartQA): numbers may be off by 5%, other answers must be equal but for case.

A number is digits with an optional sign, point and exponent; with % after it, it is a hundredth.
White space around an answer does not count; commas, units and final points do, so they make it a
text. A reference of zero takes only zero. Numbers are compared as decimals: 2.983 is within 5% of
3.14, which binary fractions leave to chance.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from decimal import Decimal

_MOST = 0.05
_EXACTLY_MOST = Decimal("0.05")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)(%?)", re.ASCII)
_ALMOST_ZERO = 1e-10


def canonical(answer: str, references: Sequence[str]) -> float:
    return float(any(_right(answer.strip(), one.strip()) for one in references))


def _right(answer: str, reference: str) -> bool:
    given, wanted = _number(answer), _number(reference)
    if given is None or wanted is None:
        return answer.lower() == reference.lower()
    return abs(given - wanted) <= _EXACTLY_MOST * abs(wanted)


def _number(text: str) -> Decimal | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    return Decimal(found[1]) / (100 if found[2] else 1)


def lmms_eval(answer: str, references: Sequence[str]) -> float:
    """What Python's float reads is a number; a reference of zero is a text."""
    return float(any(_right_by_lmms_eval(answer, one) for one in references))


def _right_by_lmms_eval(answer: str, reference: str) -> bool:
    given, wanted = (_float_by_lmms_eval(text) for text in (answer, reference))
    if given is None or not wanted:
        return answer.lower() == reference.lower()
    return abs(given - wanted) / abs(wanted) <= _MOST


def _float_by_lmms_eval(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def lm_eval(answer: str, references: Sequence[str]) -> float:
    """Without commas, $ and final marks; % is tried both ways; for a letter the first one counts.

    lm-eval looks for the answer after "Final Answer:" first; this is its rule for what it finds.
    """
    given = _plain(answer)
    return max((_score_by_lm_eval(given, _plain(one)) for one in references), default=0.0)


def _plain(text: str) -> str:
    if any(char.isdigit() for char in text):
        while text and text[-1] != "%" and (text[-1] in string.punctuation or text[-1].isspace()):
            text = text[:-1]
        return text.replace(",", "").replace("$", "")
    quoted = any(text.startswith(mark) and text.endswith(mark) for mark in "\"'")
    return text[1:-1] if quoted else text


def _score_by_lm_eval(answer: str, reference: str) -> float:
    given, wanted = _float_by_lm_eval(answer), _float_by_lm_eval(reference)
    if given is not None and wanted is not None:
        return float(_near(given, wanted))
    if len(reference) == 1 and reference.isalpha() and answer:
        return float(answer[0].lower() == reference.lower())
    return float(answer.rstrip(string.punctuation).lower() == reference.lower())


def _float_by_lm_eval(text: str) -> tuple[float, bool] | None:
    text = text.strip()
    try:
        return float(text.rstrip("%")), text.endswith("%")
    except ValueError:
        return None


def _near(given: tuple[float, bool], wanted: tuple[float, bool]) -> bool:
    """As they stand, or with either percentage as a hundredth."""
    (one, one_percent), (other, other_percent) = given, wanted
    pairs = [(one, other)]
    if one_percent or other_percent:
        pairs.append((one / 100 if one_percent else one, other))
        pairs.append((one, other / 100 if other_percent else other))
    return any(abs(a - b) / max(abs(b), _ALMOST_ZERO) <= _MOST for a, b in pairs)


RULES = {"canonical": canonical, "lmms-eval": lmms_eval, "lm-eval": lm_eval}
