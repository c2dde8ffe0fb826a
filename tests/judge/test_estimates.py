"""From samples to a reading, statistic by statistic: what holds, what fails, what stays open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from judge_records import (
    KIB,
    MIB,
    claim,
    facts,
    item,
    items,
    load,
    memory,
    panel,
    samples,
    speed,
)

from harness.ask.claims import Claim
from harness.judge import estimates
from harness.judge.estimates import read
from harness.judge.reading import Reading
from harness.metrics import METRICS
from harness.plan.cells import cells_of
from harness.run.records import Data

CLOSE = [20.0, 20.2, 19.9, 20.1, 20.0]


def reading(asked: Claim, *data: Iterable[Data | str]) -> Reading:
    assert asked.rule is not None
    cells = zip(cells_of(asked), map(samples, data), strict=True)
    return read(asked, asked.rule, list(cells))


def rates(*values: float | str) -> list[Data | str]:
    return [one if isinstance(one, str) else speed(one) for one in values]


def pairs(above: list[Any], below: list[Any], **rule: Any) -> Reading:
    asked = claim("decode_ratio", rule.pop("op", ">="), 1.0, against=["ember", "Q4_0"], **rule)
    return reading(asked, rates(*above), rates(*below))


@pytest.mark.parametrize(
    ("op", "threshold", "margin", "holds"),
    [
        (">=", 19, None, True),
        (">=", 21, None, False),
        (">=", 20, None, None),
        ("<=", 21, None, True),
        ("<=", 19, None, False),
        ("<=", 20, None, None),
        ("same", 20, 0.05, True),
        ("same", 25, 0.05, False),
        ("same", 21, 0.05, None),  # the lower bound, 19.95, lies in the interval
    ],
)
def test_a_whole_interval_decides(
    op: str, threshold: float, margin: float | None, holds: bool | None
) -> None:
    found = reading(claim("decode_rate", op, threshold, margin=margin), rates(*CLOSE))
    assert found.holds is holds
    assert found.interval is not None
    assert found.interval.level == pytest.approx(0.90 if op == "same" else 0.95)
    assert found.p_value is not None
    assert (found.p_value < 0.05) is (holds is not None)


def test_a_straddling_interval_says_so() -> None:
    found = reading(claim("decode_rate", ">=", 20), rates(*CLOSE))
    assert "values that meet the rule and values that fail it" in found.reason


@pytest.mark.parametrize("values", [[], [20.0], ["crashed", 20.0], ["crashed", "timeout"]])
def test_fewer_than_two_processes_give_no_number(values: list[Any]) -> None:
    found = reading(claim("decode_rate", ">=", 5), rates(*values))
    assert (found.estimate, found.interval, found.holds, found.p_value) == (None,) * 4
    assert "fewer than two" in found.reason


def test_processes_without_a_value_are_not_made_up_by_the_others() -> None:
    asked = claim("anonymous_peak", "<=", 200 * MIB, memory_limit=300 * MIB)
    fitted = memory(2048)
    found = reading(asked, [fitted, fitted, "out_of_memory", fitted, fitted])
    assert (found.holds, found.n, found.p_value) == (None, 4, None)
    assert found.reason == "4 of the 5 planned gave a value"


def test_too_few_tokens_give_no_percentile() -> None:
    asked = claim("inter_token_p90", "<=", 1)
    assert reading(asked, [speed(20, 63)] * 5).estimate is None
    assert "too few tokens" in reading(asked, [speed(20, 63)] * 5).reason
    assert reading(asked, [speed(20, 64)] * 5).holds is True


@pytest.mark.parametrize("op", [">=", "<="])
def test_equal_values_meet_a_threshold_that_they_equal(op: str) -> None:
    found = reading(claim("load_time", op, 0.1, 3, page_cache="warm"), [load(0.1)] * 3)
    assert (found.holds, found.p_value) == (True, None)


def test_a_pair_is_compared_turn_by_turn() -> None:
    drift = [10.0, 20.0, 40.0, 80.0, 160.0]
    found = pairs([one * factor for one, factor in zip(drift, CLOSE, strict=True)], drift)
    assert found.holds is True
    assert found.estimate == pytest.approx(20.04, abs=0.01)
    assert [point.label for point in found.series] == [f"pair {at}" for at in range(1, 6)]


def test_a_lost_turn_leaves_the_other_turns_paired() -> None:
    found = pairs(["crashed", 22, 44, 88, 176], [10, 20, 40, 80, 160], n=4)
    assert (found.n, found.estimate) == (4, pytest.approx(1.1))
    assert found.holds is True


def test_too_few_pairs_decide_nothing() -> None:
    found = pairs(["crashed", 22, 44.1, 88, 176], [10, 20, 40, 80, "crashed"])
    assert (found.n, found.holds) == (3, None)
    assert "3 of the 5 planned" in found.reason


def test_sameness_of_a_pair_is_tost() -> None:
    near, far = [1.0, 1.03, 0.98, 1.01, 0.99], [1.2, 1.22, 1.19, 1.21, 1.2]
    assert pairs(near, [1] * 5, op="same", margin=0.05).holds is True
    assert pairs(far, [1] * 5, op="same", margin=0.05).holds is False
    assert pairs([1.0, 1.2, 0.9, 1.1, 1.0], [1] * 5, op="same", margin=0.05).holds is None


@pytest.mark.parametrize(
    ("right", "wrong", "op", "threshold", "holds"),
    [
        (80, 20, ">=", 0.5, True),
        (20, 80, ">=", 0.5, False),
        (52, 48, ">=", 0.5, None),
        (20, 80, "<=", 0.5, True),
        (100, 0, ">=", 1.0, None),  # no hundred items prove "always" ..
        (99, 1, ">=", 1.0, False),  # .. one miss disproves it
        (0, 100, "<=", 0.0, None),
        (1, 99, "<=", 0.0, False),
        (100, 0, ">=", 0.9, True),
        (0, 100, ">=", 0.1, False),
    ],
)
def test_a_share_is_judged_by_wilsons_interval(
    right: int, wrong: int, op: str, threshold: float, holds: bool | None
) -> None:
    asked = claim("tool_call_accuracy", op, threshold, right + wrong, task="bfcl_simple_python")
    found = reading(asked, items(right, wrong))
    assert (found.holds, found.n) == (holds, 100)
    assert found.p_value is not None
    assert (found.p_value < 0.05) is (holds is not None)


def test_questions_about_one_picture_count_as_one() -> None:
    """180 of 200 right, ten questions a picture, and a picture is seen or it is not."""
    asked = claim("answer_accuracy", ">=", 0.8, 200, task="easy_vqa")
    answers = [item(at < 180) for at in range(200)]
    alone = reading(asked, answers)
    grouped = [one.model_copy(update={"group": str(at // 10)}) for at, one in enumerate(answers)]
    together = reading(asked, grouped)
    assert (alone.holds, together.holds) == (True, None)
    assert alone.estimate == together.estimate == 0.9
    assert together.p_value is not None and together.p_value > 0.05
    assert together.interval is not None
    assert together.interval.method == "Wilson, by group of items"


def test_answers_in_parts_count_for_what_they_are_worth() -> None:
    """40 of 100 are right, 30 more worth 0.6: a mean of 0.58, where 0.4 are right."""
    asked = claim("task_accuracy", ">=", 0.45, 100, task="textvqa")
    found = reading(asked, [*items(40, 30), *[item(False, partial=0.6)] * 30])
    assert (found.estimate, found.holds) == (pytest.approx(0.58), True)
    whole = reading(asked, items(58, 42))
    assert found.interval and whole.interval
    assert (found.interval.low, found.interval.high) == (
        pytest.approx(whole.interval.low),
        pytest.approx(whole.interval.high),
    )
    assert found.interval.method == "Wilson, as wide as for all or nothing"
    assert found.p_value == pytest.approx(whole.p_value)


def test_the_same_share_is_tost() -> None:
    asked = claim("tool_call_accuracy", "same", 0.5, 2000, margin=0.2, task="bfcl_simple_python")
    found = reading(asked, items(1000, 1000))
    assert found.holds is True
    assert found.p_value is not None and found.p_value < 0.05


def test_no_items_give_no_accuracy() -> None:
    asked = claim("tool_call_accuracy", ">=", 0.5, 3, task="bfcl_simple_python")
    for nothing in ([], ["crashed", "timeout", "crashed"]):
        found = reading(asked, nothing)
        assert (found.estimate, found.interval, found.holds) == (None, None, None)


def test_an_item_without_an_answer_is_neither_right_nor_wrong() -> None:
    asked = claim("tool_call_accuracy", ">=", 0.5, 100, task="bfcl_simple_python")
    found = reading(asked, [*items(99, 0), "crashed"])
    assert (found.estimate, found.n) == (1.0, 99)


def test_what_is_invented_is_counted_by_outcome() -> None:
    asked = claim("invented_share", "<=", 0.05, 4, task="bfcl_simple_python")
    outcomes = ["invented_tool", "invented_argument", "wrong_value", "correct"]
    found = reading(asked, [item(one == "correct", one) for one in outcomes])
    assert found.estimate == 0.5
    assert {point.label: point.value for point in found.series} == dict.fromkeys(outcomes, 1.0)


def grown(context: int, *per_token: float) -> list[Data | str]:
    return [memory(context, int(context * one)) for one in per_token]


def test_a_slope_lies_between_the_shortest_and_the_longest_context() -> None:
    asked = claim(
        "kv_bytes_per_token", "same", 22 * KIB, 3, margin=0.02, contexts=[512, 4096, 1024]
    )
    sizes = [22 * KIB, 22 * KIB + 8, 22 * KIB - 8]
    found = reading(asked, grown(512, *sizes), grown(4096, *sizes), grown(1024, 1, 1, 1))
    assert found.holds is True
    assert found.estimate == pytest.approx(22 * KIB, rel=1e-3)
    assert [point.label for point in found.series] == ["512", "1024", "4096"]


def test_a_slope_needs_both_ends() -> None:
    asked = claim("kv_bytes_per_token", "same", 100, 3, margin=0.02, contexts=[512, 1024, 4096])
    lost: list[Data | str] = ["out_of_memory"] * 3
    found = reading(asked, grown(512, 100, 100, 100), grown(1024, 100, 100, 100), lost)
    assert (found.estimate, found.holds) == (None, None)
    assert "not both measured" in found.reason


def test_a_slope_from_fewer_processes_than_planned_decides_nothing() -> None:
    asked = claim("kv_bytes_per_token", "same", 100, 3, margin=0.02, contexts=[512, 4096])
    short: list[Data | str] = ["out_of_memory", *grown(4096, 100, 100)]
    found = reading(asked, grown(512, 100, 100, 100), short)
    assert (found.n, found.holds) == (2, None)


def test_memory_that_shrinks_with_the_context_is_no_slope() -> None:
    asked = claim("kv_bytes_per_token", "same", 100, 2, margin=0.02, contexts=[512, 1024])
    found = reading(asked, grown(512, 100, 100), grown(1024, 1, 1))
    assert (found.estimate, found.holds) == (None, None)


FITS, OOM, THRASHES = "fits", "out_of_memory", "thrashes"
LENGTHS = (2048, 4096, 8192)


def bracket(threshold: int, ends: str, op: str = ">=", **rule: Any) -> Reading:
    """Three processes per length; `ends` says how the second of them ended."""
    asked = claim(
        "largest_context", op, threshold, 3, memory_limit="1GiB", contexts=LENGTHS, **rule
    )
    kinds = {"f": FITS, "o": OOM, "t": THRASHES, "-": None}
    data: list[list[Data | str]] = []
    for context, letter in zip(LENGTHS, ends, strict=True):
        second = {FITS: memory(context), OOM: OOM, THRASHES: memory(context, faults=100)}
        kind = kinds[letter]
        data.append([memory(context, faults=99), second[kind], memory(context)] if kind else [])
    return reading(asked, *data)


@pytest.mark.parametrize(
    ("ends", "threshold", "holds", "low", "high"),
    [
        ("fff", 8192, True, 8192, None),
        ("fff", 9000, None, 8192, None),  # longer than what was tried
        ("ffo", 4096, True, 4096, 8192),
        ("ffo", 8192, False, 4096, 8192),
        ("ffo", 9000, False, 4096, 8192),  # longer than one that did not fit
        ("ffo", 6000, None, 4096, 8192),  # between two that were tried
        ("fft", 8192, False, 4096, 8192),
        ("ooo", 2048, False, 0, 2048),
        ("ooo", 1024, None, 0, 2048),
        ("fof", 2048, True, 2048, None),  # a contradiction leaves open what lies in it
        ("fof", 4096, None, 2048, None),
        ("fof", 8192, None, 2048, None),
        ("oof", 8192, None, 0, None),
        ("ff-", 8192, None, 4096, None),  # not run is not fitted
        ("f-o", 4096, None, 2048, 8192),
    ],
)
def test_a_bracket(
    ends: str, threshold: int, holds: bool | None, low: int, high: int | None
) -> None:
    found = bracket(threshold, ends)
    assert found.holds is holds
    assert found.interval is not None
    assert (found.interval.low, found.interval.high, found.interval.level) == (low, high, None)
    assert found.estimate == (low or None)


@pytest.mark.parametrize(
    ("ends", "threshold", "holds"),
    [("fff", 8192, None), ("ffo", 8191, True), ("ffo", 4096, None), ("ffo", 2048, False)],
)
def test_a_bracket_follows_the_rules_comparison(
    ends: str, threshold: int, holds: bool | None
) -> None:
    assert bracket(threshold, ends, "<=").holds is holds


def test_a_bracket_tells_how_each_length_ended() -> None:
    found = bracket(8192, "fto")
    assert [point.note for point in found.series] == [
        "fitted",
        "went back to the disk 100 times while decoding",
        "out_of_memory",
    ]
    assert [point.value for point in found.series] == [100 * MIB, 100 * MIB, None]
    assert found.n == 3


def test_nothing_run_is_no_bracket() -> None:
    found = bracket(2048, "---")
    assert (found.estimate, found.interval, found.holds, found.n) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("op", "threshold", "margin", "value", "holds"),
    [
        ("==", 8192, None, 8192, True),
        ("==", 8192, None, 8191, False),
        ("==", 0.5, None, 0.5, True),
        (">=", 8192, None, 9000, True),
        (">=", 8192, None, 8000, False),
        ("<=", 4.2e9, None, 4_200_000_000, True),
        ("same", 3_000_000_000, 0.05, 3_075_000_000, True),
        ("same", 3_000_000_000, 0.1, 3_850_000_000, False),
        ("==", True, None, True, True),
        ("==", True, None, False, False),
        ("==", True, None, 1, None),  # a number is no yes
        ("==", 1, None, True, None),
        ("==", "apache-2.0", None, "apache-2.0", True),
        ("==", "apache-2.0", None, "mit", False),
        ("==", 8192, None, "8192", None),
        (">=", "apache-2.0", None, "mit", None),  # names have no order
    ],
)
def test_a_fact(op: str, threshold: Any, margin: float | None, value: Any, holds: Any) -> None:
    found = reading(claim("parameters", op, threshold, 1, margin=margin), [facts(value)])
    assert found.holds is holds
    assert (found.estimate, found.interval, found.p_value) == (value, None, None)


def test_a_second_source_that_disagrees_is_told() -> None:
    found = reading(claim("parameters", "==", 10, 1), [facts(10, 10, 12)])
    assert found.holds is True
    assert found.reason == "read from file header: a place; another source says 12"
    assert "another" not in reading(claim("parameters", "==", 10, 1), [facts(10, 10)]).reason


def test_a_fact_that_no_source_gives_is_no_number() -> None:
    for nothing in ([facts()], [facts("mit", name="licence")], ["crashed"], []):
        found = reading(claim("parameters", "==", 10, 1), nothing)
        assert (found.estimate, found.holds, found.n) == (None, None, 0)


@pytest.mark.parametrize(
    ("stances", "op", "threshold", "holds"),
    [
        (["ship"] * 4, "==", 1.0, True),
        (["ship", "ship", "ship", "skip"], "==", 1.0, False),
        (["ship", "ship", "ship", "skip"], "==", 0.75, True),
        (["ship", "ship", "ship", None], "==", 0.75, None),
        (["ship", "ship", "ship", None], "==", 1.0, None),
        (["ship", "ship", "ship", None], "==", 0.5, False),
        (["ship", "ship", "ship", None], ">=", 0.75, True),
        (["ship", "ship", "ship", "ship"], ">=", 0.75, True),
        (["skip", "skip", None, None], ">=", 0.75, False),
        (["ship", "ship", "skip"], "==", 2 / 3, True),
    ],
)
def test_a_panel(stances: list[str | None], op: str, threshold: float, holds: Any) -> None:
    found = reading(claim("panel_share", op, threshold, 4), [panel(*stances)])
    assert found.holds is holds
    assert (found.estimate is None) is (None in stances)
    assert found.n == len(stances)


def test_a_panel_of_another_tool_says_nothing() -> None:
    found = reading(claim("panel_share", "==", 1.0, 4), [panel("ship", tool="Ember")])
    assert (found.estimate, found.interval, found.holds) == (None, None, None)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_no_sample_gives_no_number(metric: Any) -> None:
    """The first promise of the project, for every row of the table."""
    more: dict[str, Any] = {
        "bracket": {"memory_limit": "1GiB", "contexts": [1, 2]},
        "slope": {"contexts": [1, 2]},
        "paired": {"against": ["ember", "Q4_0"]},
        "lead": {"against": ["ember", "Q4_0"]},
        "token_pairs": {"against": ["quill", "f16"]},
        "reach": {"least_accuracy": 0.5},
    }.get(metric.statistic, {})
    more |= {"task": "bfcl_simple_python"} if metric.comes_from is None else {}
    more |= {"page_cache": "cold"} if metric.name == "load_time" else {}
    services = ["one", "two"] if metric.name == "price_ratio" else ["one"]
    more |= {"services": services} if metric.comes_from == "prices" else {}
    more |= {"call": "it"} if metric.comes_from == "calls" else {}
    asked = claim(metric.name, ">=", 1, **more)
    for failed in ([], ["crashed"] * 5):
        found = reading(asked, *([failed] * len(cells_of(asked))))
        assert found.estimate is None
        assert found.p_value is None
        if metric.statistic != "bracket":  # five crashes under a cap are no fit
            assert (found.interval, found.holds) == (None, None)


LEAD = {"task": "mmlu", "against": ["ember", "Q4_0"]}


def answers(*values: bool) -> list[Data | str]:
    return [item(one).model_copy(update={"item": str(at)}) for at, one in enumerate(values)]


def test_a_lead_is_taken_pair_by_pair() -> None:
    """The same two shares, 60 and 50 of 100: with each item right in one as in the other but ten,
    and with the two unlike each other."""
    first = [True] * 60 + [False] * 40
    alike = [True] * 50 + [False] * 50
    unlike = [False] * 40 + [True] * 50 + [False] * 10
    asked = claim("accuracy_lead", ">=", 0, n=100, **LEAD)
    sure, open_ = (reading(asked, answers(*first), answers(*other)) for other in (alike, unlike))
    assert sure.estimate == open_.estimate == pytest.approx(0.1)
    assert (sure.holds, open_.holds) == (True, None)
    assert sure.p_value is not None and sure.p_value < 0.05
    assert open_.p_value is not None and open_.p_value > 0.05


def test_a_lead_counts_only_what_both_answered() -> None:
    asked = claim("accuracy_lead", ">=", 0, n=3, **LEAD)
    found = reading(asked, answers(True, True, False), answers(False))
    assert (found.n, found.estimate) == (1, 1.0)
    assert reading(asked, answers(True), []).estimate is None


def test_a_rule_may_count_the_items_of_some_facets() -> None:
    hard = [item(False).model_copy(update={"facets": {"calls": "8"}})] * 10
    easy = [item(True).model_copy(update={"facets": {"calls": "1"}})] * 30
    asked = claim("tool_call_accuracy", "<=", 0.5, n=40, task="tool_chains", facets={"calls": "8"})
    found = reading(asked, [*hard, *easy])
    assert (found.n, found.estimate, found.holds) == (10, 0.0, True)
    none = reading(claim("tool_call_accuracy", "<=", 0.5, task="t", facets={"calls": "3"}), hard)
    assert (none.n, none.estimate, none.holds) == (0, None, None)


def test_of_the_planned_items_those_count_that_may_have_the_facets() -> None:
    """The failed one may, and so may the two that were never asked."""
    hard = [item(False).model_copy(update={"facets": {"calls": "8"}})] * 10
    easy = [item(True).model_copy(update={"facets": {"calls": "1"}})] * 27
    asked = claim("tool_call_accuracy", "<=", 0.5, n=40, task="tool_chains", facets={"calls": "8"})
    whole = claim("tool_call_accuracy", "<=", 0.5, n=40, task="tool_chains")
    data = samples([*hard, *easy, "timeout"])
    found = [estimates.planned(one.rule, data) for one in (asked, whole) if one.rule]
    assert found == [13, 40]
