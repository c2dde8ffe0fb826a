"""What a repetition says: reproduced, differs and by how much, or not comparable and why."""

from __future__ import annotations

import math
from typing import Any

import judge_records as records
import pytest
from scipy import stats

from harness import statistics
from harness.ask.claims import Rule
from harness.judge import reproductions
from harness.judge.verdicts import Finding, Interval, Point
from harness.run.records import Gate, RuntimeRecord

FIRST = (20.0, 21.0, 19.5, 20.5, 20.2)


def finding(values: tuple[float, ...] = FIRST, **changes: Any) -> Finding:
    made = statistics.mean_of_logs(values)
    assert made
    base: dict[str, Any] = {
        "machine": "laptop",
        "outcome": "supported",
        "reason": "a test",
        "estimate": made.value,
        "interval": Interval(low=made.low, high=made.high, level=0.95, method="t"),
        "n": len(values),
        "planned": len(values),
        "failed": 0,
        "p_value": None,
        "weights": "real",
        "runtime": RuntimeRecord(name="llama.cpp", version="1", device="cpu"),
        "settings": records.SETTINGS,
        "shape": None,
        "artifact_sha256": [records.SHA],
        "gates": [records.PASSED],
        "warnings": [],
        "series": [Point(label="p", value=value, note="") for value in values],
        "measured": "2026-01-01",
        "evidence": [],
    }
    return Finding.model_validate(base | changes)


def rule(metric: str, **more: Any) -> Rule:
    claim = records.claim(metric, more.pop("op", ">="), more.pop("threshold", 1), n=5, **more)
    assert claim.rule
    return claim.rule


SPEED = rule("decode_rate")


def test_the_same_figures_are_reproduced() -> None:
    answer, difference = reproductions.compare(
        SPEED, finding(), finding((20.4, 19.9, 20.6, 20.1, 19.8))
    )
    assert answer == "reproduced" and difference and difference.interval
    assert difference.kind == "ratio" and difference.value == pytest.approx(0.996, abs=0.001)


def test_another_speed_differs_by_a_ratio_with_its_interval() -> None:
    faster = tuple(2 * value for value in FIRST)
    answer, difference = reproductions.compare(SPEED, finding(), finding(faster))
    assert answer == "differs" and difference and difference.interval
    assert difference.value == pytest.approx(2)
    assert difference.interval.low < 2 < (difference.interval.high or 0)
    assert difference.interval.low > 1.9


@pytest.mark.parametrize(
    ("factor", "answer"), [(1.03, "reproduced"), (0.97, "reproduced"), (1.1, "differs")]
)
def test_what_sessions_of_one_machine_differ_by_is_no_difference(
    factor: float, answer: str
) -> None:
    steady = (20.0, 20.001, 19.999, 20.0, 20.0)
    moved = tuple(factor * value for value in steady)
    assert reproductions.compare(SPEED, finding(steady), finding(moved))[0] == answer


@pytest.mark.parametrize(
    ("hits", "answer"), [(60, "reproduced"), (52, "reproduced"), (30, "differs")]
)
def test_shares_differ_by_a_difference(hits: int, answer: str) -> None:
    asked = rule("tool_call_accuracy", threshold=0.5, task="bfcl_simple_python")
    there = finding(estimate=0.6, n=100, planned=100)
    found, difference = reproductions.compare(asked, there, finding(estimate=hits / 100, n=100))
    assert found == answer and difference and difference.kind == "difference"
    assert difference.value == pytest.approx(hits / 100 - 0.6)


@pytest.mark.parametrize(("value", "answer"), [("mit", "reproduced"), ("gemma", "differs")])
def test_facts_are_the_same_or_not(value: str, answer: str) -> None:
    asked = rule("licence", op="==", threshold="mit")
    there = finding(estimate="mit", interval=None)
    found, difference = reproductions.compare(asked, there, finding(estimate=value, interval=None))
    assert (found, difference) == (answer, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"runtime": RuntimeRecord(name="llama.cpp", version="2", device="cpu")},
            "runtime: llama.cpp 1 there, llama.cpp 2 here",
        ),
        (
            {"runtime": RuntimeRecord(name="llama.cpp", version="1", device="cuda")},
            "device: cpu there, cuda here",
        ),
        ({"artifact_sha256": ["1" * 64]}, "artifact: 000000000000 there, 111111111111 here"),
        ({"weights": "synthetic"}, "weights: real there, synthetic here"),
        ({"gates": [records.FAILED]}, "the run here is invalid: steal"),
        ({"n": 3}, "3 of the 5 planned here"),
        ({"settings": None}, "context: 2048 there, None here"),
    ],
)
def test_what_does_not_compare_says_why(changes: dict[str, Any], reason: str) -> None:
    answer, reasons, difference = reproductions.answered(SPEED, finding(), finding(**changes))
    assert (answer, difference) == ("not_comparable", None)
    assert reason in reasons


def test_another_machine_and_its_threads_compare() -> None:
    settings = records.applied().settings.__class__(**(vars(records.SETTINGS) | {"threads": 64}))
    other = finding(machine="board", settings=settings)
    assert reproductions.answered(SPEED, finding(), other)[0] == "reproduced"


def test_an_invalid_original_is_no_measure() -> None:
    failed = Gate(name="A/A control", passed=False, detail="")
    _, reasons, _ = reproductions.answered(SPEED, finding(gates=[failed]), finding())
    assert reasons == ["the run there is invalid: A/A control"]


def test_the_ratio_of_two_runs_is_welchs() -> None:
    above, below = (20.0, 22.0, 19.0), (10.0, 10.1, 9.8, 10.4)
    found = statistics.ratio_of_means(above, below)
    logs = [[math.log(value) for value in arm] for arm in (above, below)]
    theirs = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    assert found
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("arms", [((1.0,), (1.0, 2.0)), ((1.0, 0.0), (1.0, 2.0)), ((), ())])
def test_too_little_gives_no_ratio(arms: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    assert statistics.ratio_of_means(*arms) is None


def test_the_difference_of_shares_is_newcombes() -> None:
    """His own example: 56 of 70 less 48 of 80 is 0.2, from 0.0524 to 0.3339."""
    found = statistics.difference_of_shares(56, 70, 48, 80)
    assert found
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert statistics.difference_of_shares(0, 0, 1, 2) is None
