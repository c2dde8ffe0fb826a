"""Scorers of short answers: the rules of their makers, and those of other harnesses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UnknownName
from harness.run.tasks import Score, graded, scorers
from harness.run.tasks.scorers import CANONICAL, FAMILIES, vqa
from harness.run.tasks.scorers.anls import distance

RECORDED = json.loads((Path(__file__).parent / "recorded_scores.json").read_text("utf-8"))["scores"]
OTHERS = [(family, rule) for family in FAMILIES for rule in FAMILIES[family] if rule != CANONICAL]
TEN = ["yes"] * 10

EXAMPLES = [
    # family, answer, references, canonical
    *(("vqa_accuracy", "yes", ["yes"] * k + ["no"] * (10 - k), score)
      for k, score in enumerate([0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1])),
    ("vqa_accuracy", "7-up", ["7 up"] * 10, 1),
    ("vqa_accuracy", "$1,000", ["$1000"] * 10, 1),
    ("vqa_accuracy", "None", ["0"] * 10, 1),
    ("vqa_accuracy", "ten", ["10"] * 10, 1),
    ("vqa_accuracy", "The dogs", ["dogs"] * 10, 1),
    ("vqa_accuracy", "dont", ["don't"] * 10, 1),
    ("vqa_accuracy", "3.5", ["35"] * 10, 0),
    ("vqa_accuracy", "U.S.A.", ["usa"] * 10, 1),
    ("vqa_accuracy", "yes" + "." * 40, TEN, 1),
    ("vqa_accuracy", "yes", ["yes"], 0),  # who is alone agrees with nobody
    ("anls", "brown", ["Brown"], 1),
    ("anls", "brawn", ["brown"], 0.8),
    ("anls", "bxyz          ", ["brown"], 0),
    ("anls", "ab", ["ac"], 0),  # a distance of one half is too far
    ("anls", "x", ["y", "x"], 1),
    ("anls", "", [""], 1),
    ("relaxed_accuracy", "105", ["100"], 1),
    ("relaxed_accuracy", "105.01", ["100"], 0),
    ("relaxed_accuracy", "95", ["100"], 1),
    ("relaxed_accuracy", "2.983", ["3.14"], 1),
    ("relaxed_accuracy", "0.0", ["0"], 1),
    ("relaxed_accuracy", "0.01", ["0"], 0),
    ("relaxed_accuracy", "17%", ["0.17"], 1),
    ("relaxed_accuracy", "17%", ["17"], 0),
    ("relaxed_accuracy", "12,000", ["12000"], 0),
    ("relaxed_accuracy", "-5", ["5"], 0),
    ("relaxed_accuracy", " yes", ["Yes"], 1),
    ("relaxed_accuracy", "Yes.", ["Yes"], 0),
    ("containment", "It says STOP here", ["stop"], 1),
    ("containment", "st\nop", ["st op"], 1),
    ("containment", "anything", [""], 0),
    ("formula_containment", "x = \\frac { a }{ b }", ["\\frac{a}{b}"], 1),
    ("formula_containment", "\\Frac", ["\\frac"], 0),
    ("exact_match", "The Cat!", ["cat"], 1),
    ("exact_match", "cats", ["cat"], 0),
    ("f1", "the black cat", ["black dog"], 0.5),
    ("f1", "a b b", ["b b b"], 0.8),
    ("f1", "the", ["a"], 1),
    ("final_number_strict", "2 + 2 = 4\n#### 1,234", ["Steps.\n#### 1234"], 1),
    ("final_number_strict", "It is 1234.", ["#### 1234"], 0),
    ("final_number_flexible", "It is $1,234.", ["#### 1234"], 1),
    ("final_number_flexible", "No idea", ["#### 1234"], 0),
    ("choice_letter", "B", ["B"], 1),
    ("choice_letter", "(B)", ["b"], 1),
    ("choice_letter", "B. two dogs and A cat", ["B"], 1),
    ("choice_letter", "A dog is seen", ["A"], 0),
    ("choice_letter", "A dog. The answer is (C).", ["C"], 1),
    ("choice_letter", "answer is A, no, the answer is D", ["D"], 1),
    ("choice_letter", "Because of this,\nC", ["C"], 1),
    ("choice_letter", "I choose D", ["D"], 1),
    ("choice_letter", "(A) or (B)", ["B"], 0),
    ("choice_letter", "It must be (B)", ["B"], 1),
    ("choice_letter", "Because", ["B"], 0),
    ("choice_letter", "downhill.", ["Downhill"], 1),
]  # fmt: skip


@pytest.mark.parametrize(("family", "answer", "references", "score"), EXAMPLES)
def test_the_canonical_rule(family: str, answer: str, references: list[str], score: float) -> None:
    assert FAMILIES[family][CANONICAL](answer, references) == pytest.approx(score)


def test_every_family_has_an_example() -> None:
    assert {row[0] for row in EXAMPLES} == set(FAMILIES)


@pytest.mark.parametrize(("family", "rule"), OTHERS)
def test_a_rule_of_another_harness_scores_as_the_original_did(family: str, rule: str) -> None:
    rows = RECORDED[f"{family}/{rule}"]
    assert len(rows) >= 60
    for answer, references, score in rows:
        assert FAMILIES[family][rule](answer, references) == pytest.approx(score), answer


def test_what_was_recorded_covers_every_rule_and_nothing_else() -> None:
    assert set(RECORDED) == {f"{family}/{rule}" for family, rule in OTHERS}


def test_one_answer_is_scored_under_all_rules() -> None:
    assert scorers.under_all("relaxed_accuracy", "17%", ["17"]) == {
        "canonical": 0, "lmms-eval": 0, "lm-eval": 1,
    }  # fmt: skip


def test_unknown_family() -> None:
    with pytest.raises(UnknownName, match="anls"):
        scorers.find("anlz")


TEXTS = st.text(max_size=40) | st.lists(
    st.sampled_from(["1", ".", ",", "%", "-", "####", " ", "A", "(", ")", "answer is", "\n", "e9"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=100)
@given(answer=TEXTS, references=st.lists(TEXTS, max_size=4))
def test_no_text_breaks_a_rule(family: str, answer: str, references: list[str]) -> None:
    for rule in FAMILIES[family].values():
        assert 0 <= rule(answer, references) <= 1


@settings(max_examples=50)
@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_the_distance_is_one(one: str, other: str, third: str) -> None:
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) >= abs(len(one) - len(other))
    assert distance(one, third) <= distance(one, other) + distance(other, third)


def test_contractions_come_from_leaving_out_one_apostrophe() -> None:
    table = vqa._CONTRACTIONS
    assert (table["couldn'tve"], table["couldnt've"]) == ("couldn't've", "couldn't've")
    assert table["yall"] == "y'all" and "wed" not in table


@pytest.mark.parametrize(
    ("value", "outcome", "correct", "partial"),
    [(0.0, "none", False, None), (0.3, "part", False, 0.3), (1.0, "all", True, None)],
)
def test_a_graded_answer_is_worth_what_its_rule_says(
    value: float, outcome: str, correct: bool, partial: float | None
) -> None:
    score = graded(value, ("none", "part", "all"), "why", {"lmms-eval": 0.5})
    assert score == Score(outcome, correct, "why", {"lmms-eval": 0.5}, partial)
    assert score.value == value
