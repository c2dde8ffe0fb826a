"""GSM8K: the number after "####" (strict), or the last number of the answer (flexible).

Both are compared as texts, without commas and dollar signs, and without a point at the end. The
reference is the data set's whole solution or its number alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_STRICT = re.compile(r"#### (\-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_NOTHING = "[invalid]"
_IGNORED = re.compile(r"(?s:.*)#### ")


def strict(answer: str) -> str | None:
    """The first number that follows "#### "."""
    found = _STRICT.search(answer)
    return found[1] if found else None


def flexible(answer: str) -> str | None:
    """The last run of digits, points, commas and dollar signs: it need not hold a digit."""
    found = [each[0] for each in _FLEXIBLE.finditer(answer)]
    return found[-1] if found else None


def canonical_strict(answer: str, references: Sequence[str]) -> float:
    return _equals(strict(answer), references)


def canonical_flexible(answer: str, references: Sequence[str]) -> float:
    return _equals(flexible(answer), references)


def _equals(found: str | None, references: Sequence[str]) -> float:
    """What was not found equals nothing."""
    return float(found is not None and _plain(found) in map(_plain, references))


def lm_eval_strict(answer: str, references: Sequence[str]) -> float:
    return float(_plain(strict(answer) or _NOTHING) in map(_plain, references))


def lm_eval_flexible(answer: str, references: Sequence[str]) -> float:
    return float(_plain(flexible(answer) or _NOTHING) in map(_plain, references))


def _plain(text: str) -> str:
    text = _IGNORED.sub("", text.replace(",", "").replace("$", ""))
    return re.sub(r"\.$", "", text).lower()


STRICT_RULES = {"canonical": canonical_strict, "lm-eval": lm_eval_strict}
FLEXIBLE_RULES = {"canonical": canonical_flexible, "lm-eval": lm_eval_flexible}
