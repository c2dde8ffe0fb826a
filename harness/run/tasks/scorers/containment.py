"""OCRBench: an answer is right if it contains a reference. Formulas are compared without spaces.

Both are compared in lower case with line ends as spaces; formulas with their case, without spaces
and line ends. An empty reference is contained in everything, so it counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def _contained(answer: str, references: Sequence[str], fold: Callable[[str], str]) -> float:
    return float(any(fold(reference) in fold(answer) for reference in references))


def _words(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")


def canonical(answer: str, references: Sequence[str]) -> float:
    return _contained(answer, [one for one in references if one.strip()], _words)


def canonical_formula(answer: str, references: Sequence[str]) -> float:
    return _contained(answer, [one for one in references if one.strip()], _formula)


def lmms_eval(answer: str, references: Sequence[str]) -> float:
    """Takes full-width letters for the usual ones; contains an empty reference."""
    stripped = answer.strip()
    return _contained(stripped, references, lambda text: _words(text.translate(FULL_WIDTH)))


def lmms_eval_formula(answer: str, references: Sequence[str]) -> float:
    return _contained(answer, references, _formula)


RULES = {"canonical": canonical, "lmms-eval": lmms_eval}
FORMULA_RULES = {"canonical": canonical_formula, "lmms-eval": lmms_eval_formula}
