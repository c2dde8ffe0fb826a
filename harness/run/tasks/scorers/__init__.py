"""Rules that turn a short answer and its references into a score between 0 and 1.

A family is one file with `RULES`: "canonical" is the rule of the data set's makers, as its file
states it; the others are those of the evaluation harnesses in use, by their names, oddities
included. `scripts/compare-scorers` holds those to the originals and lists where "canonical"
disagrees with them. No rule raises, whatever a model wrote; no reference at all scores 0.

A new family is one file and one line in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.errors import UnknownName
from harness.run.tasks.scorers import (
    anls,
    choice_letter,
    containment,
    final_number,
    relaxed,
    short_answer,
    vqa,
)

Rule = Callable[[str, Sequence[str]], float]
"""From an answer and the accepted ones (of VQA accuracy: one per annotator)."""

CANONICAL = "canonical"
FAMILIES: dict[str, Mapping[str, Rule]] = {
    "anls": anls.RULES,
    "choice_letter": choice_letter.RULES,
    "containment": containment.RULES,
    "formula_containment": containment.FORMULA_RULES,
    "exact_match": short_answer.EXACT_RULES,
    "f1": short_answer.F1_RULES,
    "final_number_strict": final_number.STRICT_RULES,
    "final_number_flexible": final_number.FLEXIBLE_RULES,
    "relaxed_accuracy": relaxed.RULES,
    "vqa_accuracy": vqa.RULES,
}


def find(family: str) -> Mapping[str, Rule]:
    """The rules of the family of this name, "canonical" among them. Raises UnknownName."""
    if family not in FAMILIES:
        raise UnknownName("family of scorers", family, FAMILIES)
    return FAMILIES[family]


def under_all(family: str, answer: str, references: Sequence[str]) -> dict[str, float]:
    """One answer's score under each rule of a family."""
    return {name: rule(answer, references) for name, rule in find(family).items()}
