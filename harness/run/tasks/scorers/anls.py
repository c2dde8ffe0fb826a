"""ANLS (DocVQA): 1 minus the normalised edit distance to the nearest reference, 0 from one half on.

Texts are compared in lower case, with runs of white space as one space. The distance is divided by
the length of the longer of the two texts that are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_LIMIT = 0.5


def distance(one: str, other: str) -> int:
    """The fewest insertions, deletions and replacements of a character that turn one into other."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row = row, [at]
        for to, wanted in enumerate(other, 1):
            replaced = before[to - 1] + (letter != wanted)
            row.append(min(replaced, before[to] + 1, row[-1] + 1))
    return row[-1]


def canonical(answer: str, references: Sequence[str]) -> float:
    apart = _nearest(answer, references, _even)
    return 1 - apart if apart < _LIMIT else 0.0


def lmms_eval(answer: str, references: Sequence[str]) -> float:
    """Divides by the length as written, so white space makes an answer nearer; keeps one half."""
    likeness = 1 - _nearest(answer, references, str.upper)
    return 0.0 if likeness < _LIMIT else likeness


def _nearest(answer: str, references: Sequence[str], measured: Callable[[str], str]) -> float:
    """The smallest share of the length of the longer text, as `measured` writes them."""
    shares = [1.0]
    for reference in references:
        longer = max(len(measured(answer)), len(measured(reference)))
        shares.append(distance(_even(answer), _even(reference)) / longer if longer else 0.0)
    return min(shares)


def _even(text: str) -> str:
    return " ".join(text.lower().split())


RULES = {"canonical": canonical, "lmms-eval": lmms_eval}
