"""How far a model reaches, from answers made by hand; and the rule on it, from stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import judge_records as records
import pytest
from pydantic import ValidationError

from harness import statistics
from harness.judge import judge
from harness.judge.reach import Reach, reach
from harness.judge.reproductions import compare
from harness.judge.verdicts import Interval, Verdict
from harness.plan.cells import cells_of
from harness.publish import figures, words


def item(right: bool, length: int, number: int) -> Any:
    update = {"facets": {"length": str(length)}, "group": str(number)}
    return records.item(right).model_copy(update=update)


def found(least: float, threshold: float, **right: int) -> Reach:
    """The reach of so many right answers of 40 at each length."""
    items = [
        item(number < hits, int(length[1:]), number)
        for length, hits in right.items()
        for number in range(40)
    ]
    one = reach(items, [item.group for item in items], least, threshold)
    assert one
    return one


def test_every_length_up_to_the_reach_is_good_enough() -> None:
    one = found(0.5, 4096, _1024=40, _2048=38, _4096=22, _8192=3)
    assert (one.seen, one.surely, one.fails) == (4096, 2048, 8192)
    dip = found(0.5, 4096, _1024=40, _2048=3, _4096=40)
    assert (dip.seen, dip.surely, dip.fails) == (1024, 1024, 2048)
    none = found(0.5, 4096, _1024=0, _2048=40)
    assert (none.seen, none.surely, none.fails) == (0, 0, 1024)
    every = found(0.5, 4096, _1024=40, _2048=40)
    assert (every.seen, every.surely, every.fails) == (2048, 2048, None)


def test_the_lengths_share_one_error() -> None:
    one = found(0.5, 4096, _1024=27, _2048=27, _4096=27, _8192=27)
    assert one.shares[1024] == statistics.proportion(27, 40, 1 - 0.05 / 4)
    assert (one.seen, one.surely) == (8192, 0)  # .516 is the end at 95%, .478 at 98.75%
    assert found(0.5, 1024, _1024=27).surely == 1024


def test_what_the_intervals_decide_p_decides() -> None:
    for hits in range(41):
        one = found(0.5, 2048, _1024=40, _2048=hits)
        if one.surely == 2048 or one.fails is not None:
            assert one.p < 0.05
        alone = found(0.5, 1024, _1024=hits)
        assert (alone.p < 0.05) == (alone.surely == 1024 or alone.fails is not None)
    assert found(0.5, 8192, _1024=40).p == 1.0  # nothing was asked at that length
    assert found(0.5, 512, _1024=40).p < 0.05  # the next length speaks for it


def test_p_of_all_is_the_worst_and_p_of_any_counts_each() -> None:
    one, two = found(0.5, 1024, _1024=30).p, found(0.5, 2048, _1024=30, _2048=40).p
    assert two == pytest.approx(one)
    one, two = found(0.5, 1024, _1024=12).p, found(0.5, 2048, _1024=40, _2048=12).p
    assert two == pytest.approx(2 * one)


def test_without_an_answer_there_is_no_reach() -> None:
    assert reach([], [], 0.5, 1024) is None
    assert reach([records.item(True)], ["no length"], 0.5, 1024) is None


def claim(threshold: int, n: int = 60, op: str = ">=", **more: Any) -> Any:
    conditions = {"task": "needle", "contexts": [4096], "least_accuracy": 0.5} | more
    return records.claim("effective_context", op, threshold, n, **conditions)


def verdict(results: Path, threshold: int, *right: int, op: str = ">=", **changes: Any) -> Verdict:
    """Of 20 items at 1024, 2048 and 4096 tokens, so many right at each."""
    asked = claim(threshold, op=op)
    data = [
        item(number < hits, length, number)
        for number in range(20)
        for length, hits in zip((1024, 2048, 4096), right, strict=True)
    ]
    records.run_all(results, asked, data, **changes)
    return judge.judge(results, [asked], {})[0]


@pytest.mark.parametrize(
    ("threshold", "right", "outcome"),
    [
        (4096, (20, 20, 20), "supported"),
        (2048, (20, 20, 0), "supported"),
        (4096, (20, 20, 0), "refuted"),
        (4000, (20, 0, 20), "refuted"),
        (4096, (20, 20, 11), "inconclusive"),
        (128000, (20, 20, 20), "inconclusive"),
        (128000, (0, 0, 0), "refuted"),
    ],
)
def test_a_rule_on_the_reach(
    threshold: int, right: tuple[int, int, int], outcome: str, tmp_path: Path
) -> None:
    assert verdict(tmp_path, threshold, *right).outcome == outcome


@pytest.mark.parametrize(
    ("threshold", "right", "outcome"),
    [
        (2047, (20, 0, 0), "supported"),
        (2047, (20, 20, 0), "refuted"),
        (2047, (20, 11, 0), "inconclusive"),
        (4096, (20, 20, 20), "inconclusive"),
    ],
)
def test_a_rule_that_the_reach_is_short(
    threshold: int, right: tuple[int, int, int], outcome: str, tmp_path: Path
) -> None:
    assert verdict(tmp_path, threshold, *right, op="<=").outcome == outcome


def test_a_finding_tells_the_share_at_each_length(tmp_path: Path) -> None:
    (finding,) = verdict(tmp_path, 4096, 20, 12, 0).findings
    assert (finding.estimate, finding.n) == (2048, 60)
    assert finding.interval == Interval(
        low=1024, high=4096, level=0.95, method="Wilson at each length, all lengths together"
    )
    assert [(one.label, one.value, one.note) for one in finding.series] == [
        ("1,024 tokens", 1.0, "77.7% to 100.0%, n = 20"),
        ("2,048 tokens", 0.6, "34.5% to 81.0%, n = 20"),
        ("4,096 tokens", 0.0, "0.0% to 22.3%, n = 20"),
    ]
    assert finding.reason == (
        "at least 50% right up to 2,048 tokens, for sure 1,024; fewer for sure at 4,096"
    )


def test_a_page_shows_the_share_at_each_length_and_what_is_enough(tmp_path: Path) -> None:
    one = verdict(tmp_path, 4096, 20, 12, 0)
    (finding,) = one.findings
    shown = figures.table(one, finding)
    assert shown
    assert (shown.caption, shown.heads) == (
        "Share of right items by length",
        ("Length", "Share right", "Interval"),
    )
    assert shown.rows[1] == ("2,048 tokens", "60.0%", "34.5% to 81.0%, n = 20")
    assert figures.chart(one, finding, "chart") is None
    assert ("Enough at a length", "50% of the items right") in words.conditions(one, finding)


def test_what_did_not_fit_under_a_cap_is_no_failure_and_no_length(tmp_path: Path) -> None:
    asked = claim(1024, 40, memory_limit=1 << 30)
    data = [one for at in range(20) for one in (item(True, 1024, at), "out_of_memory")]
    records.run_all(tmp_path, asked, data)
    (finding,) = judge.judge(tmp_path, [asked], {})[0].findings
    assert (finding.outcome, finding.failed, len(finding.series)) == ("supported", 0, 1)


def test_the_cell_has_the_rules_context_and_cap() -> None:
    (cell,) = cells_of(claim(4096, memory_limit=1 << 30))
    assert (cell.context, cell.memory_limit, cell.task) == (4096, 1 << 30, "needle")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"least_accuracy": None}, "needs it"),
        ({"least_accuracy": 1.0}, "less than 1"),
        ({"contexts": [2048, 4096]}, "one context"),
        ({"task": None}, "conditions.task"),
    ],
)
def test_a_rule_that_leaves_out_what_is_enough_is_refused(
    more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        claim(4096, **more)
    with pytest.raises(ValidationError, match="goes in steps"):
        claim(4096, op="same", margin=0.1)
    with pytest.raises(ValidationError, match="effective_context"):
        records.claim("task_accuracy", ">=", 0.5, 60, task="needle", least_accuracy=0.5)


@pytest.mark.parametrize(
    ("here", "answer"), [((20, 20, 20), "reproduced"), ((20, 0, 0), "differs")]
)
def test_a_reach_reproduces_where_the_intervals_meet(
    here: tuple[int, int, int], answer: str, tmp_path: Path
) -> None:
    (there,) = verdict(tmp_path / "there", 4096, 20, 20, 12).findings
    (again,) = verdict(tmp_path / "here", 4096, *here).findings
    rule = claim(4096).rule
    assert rule
    assert compare(rule, there, again) == (answer, None)
