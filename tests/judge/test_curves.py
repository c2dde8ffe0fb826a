"""Curves from samples made by hand: steps, their order, and where they halve."""

from __future__ import annotations

import judge_records as records
import pytest

from harness import statistics
from harness.judge.curves import (
    Curve,
    Halving,
    Step,
    curve,
    curves,
    halving,
    halving_in_words,
)
from harness.run.records import ItemData, Sample
from harness.statistics import Estimate


def asked(right: int, wrong: int, group: str | None = None, **facets: str) -> list[ItemData]:
    update = {"facets": facets, "group": group}
    return [
        records.item(correct).model_copy(update=update)
        for correct in [True] * right + [False] * wrong
    ]


def run(*parts: list[ItemData]) -> list[Sample]:
    return records.samples([one for part in parts for one in part])


def shares(found: Curve) -> list[tuple[str, float, int]]:
    return [(step.at, step.share.value, step.share.n) for step in found.steps]


def test_a_step_is_the_share_of_its_own_items_with_wilsons_interval() -> None:
    items = asked(9, 1, length="1024") + asked(5, 5, length="2048") + asked(7, 0)
    first, second = curve(items, "length")
    assert (first.at, first.share) == ("1024", statistics.proportion(9, 10))
    assert (second.at, second.share) == ("2048", statistics.proportion(5, 10))


def test_items_of_one_group_count_once() -> None:
    together = asked(4, 0, "a", length="8") + asked(0, 4, "b", length="8")
    alone = asked(4, 4, length="8")
    (grouped,), (single,) = curve(together, "length"), curve(alone, "length")
    assert grouped.share.value == single.share.value == 0.5
    assert grouped.share.n == 8
    assert grouped.share.high - grouped.share.low > 1.3 * (single.share.high - single.share.low)


def test_steps_stand_in_the_order_of_numbers() -> None:
    items = [one for at in ("10", "9", "100", "none") for one in asked(1, 0, length=at)]
    assert [step.at for step in curve(items, "length")] == ["9", "10", "100", "none"]


def test_no_items_no_steps() -> None:
    assert curve([], "length") == curve(asked(3, 1), "length") == ()
    assert curves([]) == curves(run(asked(3, 1))) == []
    assert curves(run(asked(3, 1, language="java"))) == []


def test_an_item_without_other_facets_begins_every_curve() -> None:
    clean = asked(8, 2, severity="0")
    blurred = asked(4, 6, severity="1", degradation="blur")
    dark = asked(6, 4, severity="2", degradation="low light")
    found = curves(run(dark, clean, blurred))
    assert [(one.axis, one.name) for one in found] == [
        ("severity", "blur"),
        ("severity", "low light"),
    ]
    assert shares(found[0]) == [("0", 0.8, 10), ("1", 0.4, 10)]
    assert shares(found[1]) == [("0", 0.8, 10), ("2", 0.6, 10)]


def test_the_axis_is_the_number_with_most_values() -> None:
    parts = [asked(1, 0, length=length, keys="4") for length in ("8", "16")]
    assert [(one.axis, one.name) for one in curves(run(*parts))] == [("length", "4")]


def test_a_failed_sample_is_no_item() -> None:
    samples = records.samples([*asked(1, 0, severity="0"), "bad_item"])
    assert shares(curves(samples)[0]) == [("0", 1.0, 1)]


def step(at: str, value: float, low: float, high: float) -> Step:
    return Step(at, Estimate(value, low, high, 100, "by hand"))


CLEAN = step("0", 0.8, 0.8, 0.8)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([step("1", 0.7, 0.6, 0.8), step("2", 0.3, 0.2, 0.35)], Halving("2", "2", "2")),
        ([step("1", 0.45, 0.39, 0.5), step("2", 0.3, 0.2, 0.35)], Halving("2", "1", "2")),
        ([step("1", 0.41, 0.3, 0.5), step("2", 0.39, 0.3, 0.5)], Halving("2", "1", None)),
        ([step("1", 0.4, 0.4, 0.4)], Halving("1", "1", "1")),
        ([step("1", 0.7, 0.6, 0.8)], Halving(None, None, None)),
        ([step("1", 0.2, 0.1, 0.3), step("2", 0.7, 0.6, 0.8)], Halving("1", "1", "1")),
    ],
)
def test_where_a_curve_halves(later: list[Step], expected: Halving) -> None:
    assert halving([CLEAN, *later]) == expected


def test_an_unsure_beginning_makes_the_halving_unsure() -> None:
    unsure = step("0", 0.8, 0.6, 0.9)
    assert halving([unsure, step("1", 0.41, 0.41, 0.41)]) == Halving(None, "1", None)
    assert halving([unsure, step("1", 0.39, 0.39, 0.39)]) == Halving("1", "1", None)


def test_what_has_nothing_to_lose_does_not_halve() -> None:
    assert halving([]) is halving([CLEAN]) is None
    assert halving([step("0", 0.0, 0.0, 0.1), step("1", 0.0, 0.0, 0.1)]) is None
    assert curves(run(asked(0, 5, severity="0"), asked(0, 5, severity="1")))[0].halving is None


@pytest.mark.parametrize(
    ("later", "words"),
    [
        ([step("1", 0.2, 0.1, 0.3)], "halved at length 1; the intervals leave no other step"),
        ([step("1", 0.7, 0.6, 0.8)], "not halved at any step; the intervals rule it out"),
        (
            [step("1", 0.41, 0.3, 0.5), step("2", 0.39, 0.3, 0.5)],
            "halved at length 2; the intervals allow it from length 1 on and never prove it",
        ),
        (
            [step("1", 0.41, 0.3, 0.5), step("2", 0.2, 0.1, 0.3)],
            "halved at length 2; the intervals allow it from length 1 on and leave no doubt from 2 "
            "on",
        ),
        ([], "one step alone, so there is nothing to halve"),
    ],
)
def test_a_halving_is_told_with_what_is_open(later: list[Step], words: str) -> None:
    assert halving_in_words(Curve("length", "", (CLEAN, *later))) == words


def test_what_cannot_halve_says_why() -> None:
    none = Curve("length", "", (step("0", 0.0, 0.0, 0.1), step("1", 0.0, 0.0, 0.1)))
    assert halving_in_words(none) == "nothing right at the first step, so there is nothing to halve"
