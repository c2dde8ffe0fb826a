"""Statistics against references (scipy, hand-computed tables) and against what they promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import statistics
from harness.statistics import (
    SAME_LEVEL,
    TAIL_MINIMUM,
    Estimate,
    at_any_time,
    effective,
    holm,
    log_tails,
    mean_of_logs,
    p_different,
    p_not_same,
    p_same,
    percentile,
    proportion,
    ratio_of_pairs,
    share,
    share_tails,
    slope_p,
)

RATES = [41.2, 39.9, 43.1, 40.4, 42.2]
SEVERAL = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=12)
COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def close(found: Estimate | None, low: float, high: float) -> None:
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9, abs=1e-12)


@given(SEVERAL.filter(lambda values: np.std(np.log(values)) > 1e-6))
def test_the_t_interval_and_its_p_are_scipys_on_logs(values: list[float]) -> None:
    found = stats.ttest_1samp(np.log(values), math.log(20.0))
    span = found.confidence_interval(0.95)
    close(mean_of_logs(values), math.exp(span.low), math.exp(span.high))
    tails = log_tails(values)
    assert tails is not None
    assert p_different(tails, 20.0) == pytest.approx(found.pvalue, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("threshold", [38.0, 40.0, 41.3, 43.0])
def test_tost_is_two_one_sided_t_tests(threshold: float) -> None:
    logs, tails = np.log(RATES), log_tails(RATES)
    low, high = math.log(threshold * 0.95), math.log(threshold * 1.05)
    above = stats.ttest_1samp(logs, low, alternative="greater").pvalue
    below = stats.ttest_1samp(logs, high, alternative="less").pvalue
    assert tails is not None
    assert p_same(tails, threshold, 0.05) == pytest.approx(max(above, below))
    assert p_not_same(tails, threshold, 0.05) == pytest.approx(min(1 - above, 1 - below))


@given(SEVERAL, st.floats(1, 1e3), st.floats(0.01, 0.5))
def test_an_interval_and_its_p_say_the_same(values: list[float], at: float, margin: float) -> None:
    tails = log_tails(values)
    wide, narrow = mean_of_logs(values), mean_of_logs(values, SAME_LEVEL)
    assert wide is not None and narrow is not None
    if tails is None:
        assert wide.low == wide.high
        return
    low, high = at * (1 - margin), at * (1 + margin)
    assert (p_different(tails, at) < 0.05) == (not wide.low <= at <= wide.high)
    assert (p_same(tails, at, margin) < 0.05) == (low < narrow.low and narrow.high < high)
    assert (p_not_same(tails, at, margin) < 0.05) == (narrow.low > high or narrow.high < low)


@given(COUNTS)
def test_a_proportion_has_wilsons_interval(counted: tuple[int, int]) -> None:
    hits, n = counted
    span = stats.binomtest(hits, n).proportion_ci(method="wilson")
    close(proportion(hits, n), span.low, span.high)


def test_a_proportion_at_its_ends() -> None:
    none, every = proportion(0, 20), proportion(20, 20)
    assert none is not None and (none.low, round(none.high, 3)) == (0.0, 0.161)
    assert every is not None and (round(every.low, 3), every.high) == (0.839, 1.0)


@given(COUNTS, st.floats(0.02, 0.98))
def test_a_share_and_its_p_say_the_same(counted: tuple[int, int], threshold: float) -> None:
    span, tails = proportion(*counted), share_tails(*counted)
    assert span is not None and tails is not None
    if min(abs(threshold - span.low), abs(threshold - span.high)) > 1e-9:
        inside = span.low <= threshold <= span.high
        assert (p_different(tails, threshold) > 0.05) == inside


@given(COUNTS)
def test_items_that_share_no_group_are_independent(counted: tuple[int, int]) -> None:
    hits, n = counted
    right = [at < hits for at in range(n)]
    assert effective(right, range(n)) == (hits, n)
    assert share(right, range(n)) == proportion(hits, n)


@given(st.integers(2, 12), st.lists(st.booleans(), min_size=2, max_size=60))
def test_copies_of_an_item_tell_no_more_than_it(copies: int, right: list[bool]) -> None:
    """Each item comes `copies` times: the interval stays as wide as that of the items alone."""
    several = [one for one in right for _ in range(copies)]
    groups = [at for at in range(len(right)) for _ in range(copies)]
    _, n = effective(several, groups)
    assert n in (len(right), len(right) - 1)  # n / (n - 1) of the sample variance
    found = share(several, groups)
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(np.mean(right)), len(several))


def test_the_interval_of_groups_covers_the_truth_as_often_as_it_says() -> None:
    """1000 data sets of 60 pictures with 10 questions each, some pictures harder than others."""
    chance = np.random.default_rng(1)
    covered = {"by group": 0, "as if independent": 0}
    for _ in range(1000):
        ease = chance.beta(8, 2, 60)
        right = (chance.random((60, 10)) < ease[:, None]).ravel().tolist()
        groups = np.repeat(np.arange(60), 10).tolist()
        for name, found in (
            ("by group", share(right, groups)),
            ("as if independent", proportion(sum(right), 600)),
        ):
            assert found is not None
            covered[name] += found.low <= 0.8 <= found.high
    assert 0.93 <= covered["by group"] / 1000 <= 0.97
    assert covered["as if independent"] / 1000 < 0.92


@pytest.mark.parametrize("kinds", [(0.02, 0.96), (0.9, 0.02), (0.4, 0.4)])
@pytest.mark.parametrize("n", [10, 40])
def test_the_interval_of_parts_covers_near_nothing_and_near_all(
    kinds: tuple[float, float], n: int
) -> None:
    """2000 sets of n answers, worth 1, 0 or a part, as VQA accuracy gives them."""
    chance = np.random.default_rng(3)
    whole, nothing = kinds
    parts = [whole, nothing, *[(1 - whole - nothing) / 3] * 3]
    worth = np.array([1.0, 0.0, 0.3, 0.6, 0.9])
    truth = float(worth @ parts)
    drawn = chance.choice(worth, (2000, n), p=parts)
    found = [share(values, range(n)) for values in drawn.tolist()]
    assert sum(one is not None and one.low <= truth <= one.high for one in found) / 2000 >= 0.95


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_parts_say_no_more_than_right_and_wrong_of_the_same_mean(right: list[bool]) -> None:
    halves = [0.5] * (2 * sum(right)) + [0.0] * (2 * (len(right) - sum(right)))
    assert share(right, range(len(right))) == share(
        [float(one) for one in right], range(len(right))
    )
    found, as_shares = share(halves, range(len(halves))), proportion(sum(right), len(halves))
    assert found is not None and as_shares is not None
    assert (found.low, found.high) == (as_shares.low, as_shares.high)


@pytest.mark.parametrize("all_right", [True, False])
def test_groups_that_are_all_alike_count_once(all_right: bool) -> None:
    right, groups = [all_right] * 100, [at // 10 for at in range(100)]
    found, ten = share(right, groups), proportion(10 * all_right, 10)
    assert found is not None and ten is not None
    assert (found.value, found.low, found.high) == (ten.value, ten.low, ten.high)
    assert effective([True, False], "aa") == (0.5, 1)
    assert effective([0.6] * 100, groups) == (pytest.approx(6), 10)


def test_one_counter_example_settles_all_and_none() -> None:
    for hits, threshold, p in ((99, 1, 0.0), (100, 1, 1.0), (1, 0, 0.0), (0, 0, 1.0)):
        tails = share_tails(hits, 100)
        assert tails is not None and p_different(tails, threshold) == p


def test_the_same_share_within_a_margin_is_found_with_enough_items() -> None:
    tails = share_tails(5000, 10000)
    few, off = share_tails(50, 100), share_tails(6000, 10000)
    assert tails is not None and few is not None and off is not None
    assert p_same(tails, 0.5, 0.1) < 1e-6 < 0.05 < p_same(few, 0.5, 0.1)
    assert p_not_same(off, 0.5, 0.1) < 1e-6


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.01], [0.04, 0.02]),  # the order given is kept
        ([0.01, 0.01, 0.05], [0.03, 0.03, 0.05]),
        ([0.02, 0.9, 0.6], [0.06, 1.0, 1.0]),  # never above 1, never falling
        # statsmodels' own example, multipletests(.., method="holm")
        ([0.001, 0.008, 0.039, 0.041, 0.042], [0.005, 0.032, 0.117, 0.117, 0.117]),
    ],
)
def test_holm_by_hand(raw: list[float], adjusted: list[float]) -> None:
    assert holm(raw) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_its_definition(raw: list[float]) -> None:
    order = np.argsort(raw, kind="stable")
    steps = [(len(raw) - rank) * raw[at] for rank, at in enumerate(order)]
    expected = dict(zip(order, np.minimum(np.maximum.accumulate(steps), 1), strict=True))
    assert holm(raw) == pytest.approx([expected[at] for at in range(len(raw))])


@pytest.mark.parametrize("values", [[1.0, 1.1, 1.05, 1.3], [40, 41, 39, 38, 44, 40, 37]])
def test_a_trend_has_scipys_p(values: list[float]) -> None:
    reference = stats.linregress(range(len(values)), np.log(values)).pvalue
    assert slope_p(values) == pytest.approx(reference)


def draws(n: int, deviation: float, times: int = 4000) -> np.ndarray:
    return np.exp(np.random.default_rng(7).normal(0, deviation, (times, n)))


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_covers_the_truth_in_95_of_100_sessions(n: int) -> None:
    found = [mean_of_logs(values) for values in draws(n, 0.03).tolist()]
    covered = np.mean([one.low <= 1 <= one.high for one in found if one])
    assert covered == pytest.approx(0.95, abs=0.01)


def test_two_equal_arms_differ_in_5_of_100_sessions() -> None:
    above, below = draws(10, 0.03, 8000).reshape(2, 4000, 10).tolist()
    ratios = [ratio_of_pairs(one, two) for one, two in zip(above, below, strict=True)]
    assert np.mean([not one.low <= 1 <= one.high for one in ratios if one]) < 0.06


@pytest.mark.parametrize(("n", "power"), [(5, 0.84), (8, 0.99)])
def test_tost_finds_sameness_as_often_as_the_plan_counts_on(n: int, power: float) -> None:
    tails = [log_tails(values) for values in draws(n, 0.03).tolist()]
    same = np.mean([p_same(one, 1.0, 0.05) < 0.05 for one in tails if one])
    assert same == pytest.approx(power, abs=0.02)


def test_tost_takes_a_difference_of_the_margin_for_sameness_in_5_of_100() -> None:
    tails = [log_tails((values * 1.05).tolist()) for values in draws(8, 0.03)]
    assert np.mean([p_same(one, 1.0, 0.05) < 0.05 for one in tails if one]) < 0.06
    assert np.mean([p_not_same(one, 1.0, 0.05) < 0.05 for one in tails if one]) < 0.06


@pytest.mark.parametrize(("share", "least"), TAIL_MINIMUM.items())
def test_the_minimum_of_a_tail_leaves_two_values_beyond_it(share: float, least: int) -> None:
    def sure(n: int) -> float:
        """The chance that two values or more of n lie beyond the quantile."""
        return float(stats.binom.sf(1, n, 1 - share))

    assert sure(least - 1) < 0.99 <= sure(least)
    values = list(np.linspace(0, 1, least))
    assert percentile(values[:-1], share) is None
    assert percentile(values, share) is not None


def test_a_percentile_is_an_order_statistic() -> None:
    values = [float(one) for one in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.9) == 90
    assert percentile([3.0, 1.0], 0.5) == 1
    assert percentile([1.0], 0.5) is None


@pytest.mark.parametrize("values", [[], [5.0], [0.0, 1.0], [-1.0, 2.0], [0.0, 0.0]])
def test_nothing_comes_from_nothing(values: Sequence[float]) -> None:
    assert mean_of_logs(values) is None
    assert log_tails(values) is None
    assert slope_p(values) is None
    assert ratio_of_pairs(values, values) is None


def test_no_items_give_no_share() -> None:
    assert proportion(0, 0) is None
    assert share([], []) is None
    assert share_tails(0, 0) is None
    assert percentile([], 0.5) is None


@given(st.floats(1e-6, 1e12), st.integers(2, 9))
def test_equal_values_are_their_own_mean_and_prove_no_chance(value: float, n: int) -> None:
    found = mean_of_logs([value] * n)
    assert found is not None
    assert found.value == found.low == found.high == value
    assert log_tails([value] * n) is None
    assert slope_p([value] * max(n, 4)) in (None, 1.0)


def test_arms_of_unequal_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio_of_pairs([1.0, 2.0, 3.0], [1.0, 2.0])


def test_a_level_is_told_with_its_interval() -> None:
    narrow, wide = mean_of_logs(RATES, 0.9), mean_of_logs(RATES)
    assert narrow is not None and wide is not None
    assert (narrow.level, wide.level, wide.n) == (0.9, statistics.LEVEL, 5)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize("truth", [0.5, 0.9])
def test_an_interval_for_any_time_holds_at_all_looks(truth: float) -> None:
    """200 runs, each looked at 60 times; Wilson's interval misses in far more of them."""
    dice = np.random.default_rng(3)
    missed = wilson_missed = 0
    for _ in range(200):
        sums = list(enumerate(np.cumsum(dice.random(300) < truth), 1))[4::5]
        looks = [at_any_time(float(total), n) for n, total in sums]
        missed += any(not one.low <= truth <= one.high for one in looks if one)
        fixed = [proportion(float(total), n) for n, total in sums if n > 9]
        wilson_missed += any(not one.low <= truth <= one.high for one in fixed if one)
    assert missed / 200 <= 0.05
    assert wilson_missed / 200 > 0.2


def test_an_interval_for_any_time_takes_values_in_parts_and_the_ends() -> None:
    assert at_any_time(0, 0) is None
    none, whole, half = (at_any_time(total, 40) for total in (0, 40, 20.5))
    assert none and whole and half
    assert (none.low, whole.high) == (0.0, 1.0)
    assert none.high == pytest.approx(1 - whole.low)
    assert none.high == pytest.approx(1 - (0.05 / 41) ** (1 / 40))  # by hand: (1-p)^n (n+1) = 0.05
    assert 0.2 < half.low < half.value == 20.5 / 40 < half.high < 0.8
