"""Two runs of a task pair by pair: known figures, coverage by simulation, groups."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest

from harness.judge.paired import (
    POWER,
    Paired,
    _bootstrap,
    _flipped,
    _interval,
    _items,
    _power,
    lead,
    mcnemar,
    paired,
)
from harness.run.records import ItemData, Sample

SHA = hashlib.sha256(b"").hexdigest()


def run(values: Sequence[float], groups: Sequence[str | None] | None = None) -> list[Sample]:
    found = []
    for at, (one, group) in enumerate(zip(values, groups or [None] * len(values), strict=True)):
        data = ItemData(
            item=f"{at:05}",
            item_sha256=SHA,
            prompt_sha256=SHA,
            prompt_tokens=1,
            evaluated_tokens=1,
            new_tokens=1,
            stopped="end",
            output="",
            outcome="right" if one == 1 else "wrong",
            correct=one == 1,
            partial=one if 0 < one < 1 else None,
            detail="",
            group=group,
        )
        found.append(Sample(index=at, started="", seconds=1, data=data))
    return found


def table(both: int, only_first: int, only_second: int, neither: int) -> Paired:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    found = paired(run(first), run(second), 0.02)
    assert found
    return found


def test_the_table_is_counted() -> None:
    found = table(60, 12, 2, 26)
    assert (found.first, found.second, found.only_first, found.only_second) == (72, 62, 12, 2)
    assert found.loss.value == pytest.approx(0.10)
    assert found.loss.n == 100


@pytest.mark.parametrize(("one", "other"), [(0, 0), (1, 0), (3, 3), (12, 2), (40, 21), (0, 9)])
def test_mcnemar_is_the_exact_binomial_test(one: int, other: int) -> None:
    n = one + other
    expected = binomtest(one, n).pvalue if n else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Tango 1998, table II
        ((43, 0, 1, 0), -0.1202, 0.0579),
    ],
)
def test_the_interval_is_tangos(cells: tuple[int, int, int, int], low: float, high: float) -> None:
    loss = _interval(cells[1], cells[2], sum(cells), 0.95)
    assert (loss.low, loss.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


@pytest.mark.parametrize("cells", [(5, 0, 0, 5), (0, 0, 0, 9), (9, 0, 0, 0), (0, 4, 0, 0)])
def test_extreme_tables_have_an_interval_around_the_value(cells: tuple[int, ...]) -> None:
    loss = table(*cells).loss
    assert -1 <= loss.low <= loss.value <= loss.high <= 1
    assert loss.low < loss.high


def test_the_interval_covers_and_the_planned_items_are_enough() -> None:
    """1,000 pairs of equal runs that differ on a tenth of the items."""
    dice = random.Random(1)
    needed = table(450, 25, 25, 0).needed
    assert _power(0.1 * needed, needed, 0.02) == pytest.approx(POWER, abs=0.01)
    covered = shown = 0
    for _ in range(1000):
        draws = [dice.random() for _ in range(needed)]
        one = sum(draw < 0.05 for draw in draws)
        other = sum(0.05 <= draw < 0.10 for draw in draws)
        found = _counts(needed - one - other, one, other)
        covered += found.loss.low <= 0 <= found.loss.high
        shown += found.same
    assert 0.87 <= covered / 1000 <= 0.93
    assert abs(shown / 1000 - POWER) < 0.06


def _counts(both: int, one: int, other: int) -> Paired:
    interval = _interval(one, other, both + one + other)
    return Paired(interval, 0, 0, one, other, mcnemar(one, other), "", 0.02, 0, 0)


def test_few_items_leave_it_open_and_many_show_it() -> None:
    few, many = table(80, 1, 1, 18), table(8_000, 10, 10, 1_800)
    assert not few.same and few.needed > 100
    assert many.same


def test_items_of_a_group_count_once() -> None:
    groups: list[str | None] = [f"picture {at // 5}" for at in range(100)]
    found = paired(run([True] * 100, groups), run([False] * 100, groups), 0.02)
    assert found
    assert (found.loss.n, found.only_first) == (20, 20)


def test_nothing_in_common() -> None:
    assert paired(run([]), run([True]), 0.02) is None


PARTS = (0.0, 0.3, 0.6, 0.9, 1.0)


def pictures(
    chance: np.random.Generator, count: int, of_each: int, changed: float
) -> list[list[float]]:
    """What one of two equal runs lost by picture: of a changed one each answer is drawn anew."""
    before = chance.choice(PARTS, (count, of_each))
    anew = chance.choice(PARTS, (count, of_each))
    after = np.where(chance.random((count, 1)) < changed, anew, before)
    return (before - after).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("changed", "method"), [(0.8, "bootstrap of groups"), (0.15, "as wide as for all or nothing")]
)
def test_the_interval_of_parts_covers_and_its_test_is_no_bolder_than_it_says(
    changed: float, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 pairs of runs on 60 pictures of three questions, with a twentieth of the resamples."""
    monkeypatch.setattr("harness.judge.paired._RESAMPLES", 500)
    chance = np.random.default_rng(2)
    covered = bold = 0
    for _ in range(200):
        lost = pictures(chance, 60, 3, changed)
        found = _bootstrap(lost)
        assert method in found.method
        covered += found.low <= 0 <= found.high
        bold += _flipped(lost) < 0.05
    assert covered / 200 >= 0.85
    assert bold / 200 <= 0.08


def test_parts_are_compared_over_every_item_of_a_group() -> None:
    groups = [f"picture {at // 2}" for at in range(120)]
    first, second = [1.0, 0.9] * 60, [0.6, 0.9] * 60
    found = paired(run(first, groups), run(second, groups), 0.02)
    assert found
    assert (found.loss.value, found.loss.n) == (pytest.approx(0.2), 120)
    assert (found.only_first, found.only_second) == (60, 0)
    assert (found.first, found.second) == (pytest.approx(114), pytest.approx(90))
    assert found.p == pytest.approx(1 / 10_001)
    assert found == paired(run(first, groups), run(second, groups), 0.02)


def test_the_figures_of_parts_are_the_same_on_every_machine() -> None:
    """Not to be changed with the code: stored verdicts may rest on them."""
    first = [(0.0, 0.3, 0.6, 0.9, 1.0)[at * at % 5] for at in range(100)]
    second = [(1.0, 0.6, 0.3, 0.25, 0.0)[at * 7 % 5] for at in range(100)]
    found = paired(run(first), run(second), 0.02)
    assert found
    assert (found.loss.low, found.loss.high, found.p) == (-0.018, 0.197, 1682 / 10_001)


def test_equal_parts_are_no_proof_of_sameness_by_themselves() -> None:
    """No resample of differences that are all 0 differs; the interval still has a width."""
    few, many = ([0.3, 1.0] * size for size in (10, 500))
    one, other = (paired(run(values), run(values), 0.02) for values in (few, many))
    assert one and other
    assert one.loss.low < -0.02 and one.loss.high > 0.02 and not one.same
    assert other.same and one.p == other.p == 1


@pytest.mark.parametrize("parts", [False, True], ids=["right or wrong", "worth a part"])
def test_the_tails_of_a_lead_agree_with_its_interval(parts: bool) -> None:
    """At either end of a 95% interval a one-sided test gives 2.5%."""
    dice = random.Random(3)
    first = [float(dice.random() < 0.7) for _ in range(200)]
    second = [one if dice.random() < 0.7 else float(dice.random() < 0.5) for one in first]
    if parts:
        first = [min(one, 0.9) for one in first]
    found = lead(_items(run(first)), _items(run(second)))
    assert found
    estimate, tails = found
    assert estimate.level == pytest.approx(0.95)
    assert estimate.low < estimate.value < estimate.high
    assert tails(estimate.low)[0] == pytest.approx(0.025, abs=0.002)
    assert tails(estimate.high)[1] == pytest.approx(0.025, abs=0.002)


def test_a_lead_is_the_loss_at_another_level() -> None:
    first, second = run([1, 1, 1, 0, 1] * 20), run([1, 0, 1, 0, 1] * 20)
    whole, found = paired(first, second, 0.02), lead(_items(first), _items(second))
    assert whole and found
    assert found[0].value == whole.loss.value
    assert found[0].low < whole.loss.low < whole.loss.high < found[0].high
