from __future__ import annotations

from typing import get_args

import publish_examples as examples
import pytest

from harness.ask.claims import Kind, Rule
from harness.judge.verdicts import Interval, Outcome
from harness.metrics import METRICS
from harness.publish import words


def test_every_kind_of_claim_answers_one_question() -> None:
    kinds = [kind for _, kinds in words.QUESTIONS for kind in kinds]
    assert sorted(kinds) == sorted(get_args(Kind))
    assert list(words.OUTCOMES) == list(get_args(Outcome))


@pytest.mark.parametrize(
    ("metric", "low", "high", "text"),
    [
        ("decode_rate", 41.2, 43.0, "41.2 to 43.0 tokens/s"),
        ("anonymous_peak", 1.2 * 2**30, 1.3 * 2**30, "1.20 to 1.30 GiB"),
        ("anonymous_peak", 900 * 2**20, 1.3 * 2**30, "900.0 MiB to 1.30 GiB"),
        ("time_to_first_token", 0.9, 1.2, "900.0 ms to 1.20 s"),
        ("tool_call_accuracy", 0.536, 0.67, "53.6% to 67.0%"),
        ("largest_context", 8192, None, "8,192 tokens or more"),
    ],
)
def test_an_interval_names_its_unit_once_where_it_can(
    metric: str, low: float, high: float | None, text: str
) -> None:
    assert words.between(METRICS[metric], low, high) == text


def test_a_figure_says_how_sure_it_is(tmp_path) -> None:
    speed = Interval(low=41.2, high=43.0, level=0.95, method="t")
    found = examples.finding(tmp_path, "cell", estimate=42.1, interval=speed, n=7, failed=1)
    assert words.figure(METRICS["decode_rate"], found) == (
        "42.1 tokens/s",
        "41.2 to 43.0 tokens/s (95% interval, n = 7 of 8, 1 failed)",
    )


def test_bounds_without_an_estimate_stand_for_themselves(tmp_path) -> None:
    bounds = Interval(low=0.5, high=1, level=None, method="bounds")
    found = examples.finding(tmp_path, "cell", interval=bounds, n=2, planned=4)
    text = words.figure(METRICS["panel_share"], found)
    assert text == ("50.0% to 100.0%", "bounds, n = 2 of 4")


def test_what_is_unknown_is_no_figure_and_never_zero(tmp_path) -> None:
    found = examples.finding(tmp_path, "cell", n=0, failed=8)
    text = words.figure(METRICS["decode_rate"], found)
    assert text == ("no figure", "n = 0 of 8, 8 failed")


def test_yes_and_no() -> None:
    assert words.value(METRICS["open_weights"], True) == "yes"
    assert words.value(METRICS["open_weights"], False) == "no"


@pytest.mark.parametrize(
    ("metric", "op", "threshold", "margin", "text"),
    [
        ("decode_rate", ">=", 20.0, None, "True if decode rate is at least 20.0 tokens/s."),
        (
            "time_to_first_token",
            "<=",
            0.5,
            None,
            "True if time to first token is at most 500.0 ms.",
        ),
        ("licence", "==", "mit", None, "True if licence is exactly mit."),
        ("parameters", "same", 3e9, 0.05, "True if parameters is within 5% of 3.000 billion."),
        ("parameters", "same", 0, 0.02, "True if parameters is within 2 points of 0."),
    ],
)
def test_a_rule_is_a_sentence(metric, op, threshold, margin, text) -> None:
    asked = {**examples.rule(metric, op, threshold), "margin": margin}
    assert words.rule(Rule.model_validate(asked)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("2026-03-04", "4 March 2026"), ("2026-02-30", "2026-02-30"), ("<b>", "<b>"), ("", "")],
)
def test_days(text: str, shown: str) -> None:
    assert words.day(text) == shown
    assert words.is_day(text) == (shown == "4 March 2026")


def test_synthetic_weights_are_named_beside_every_figure(tmp_path) -> None:
    verdict = examples.disagreeing(tmp_path)
    machines = {machine.id: machine for machine in examples.MACHINES}
    text = words.headline(verdict, machines) or ""
    assert text.count(words.SYNTHETIC) == 2
    assert "42.1 tokens/s" in text and "18.3 tokens/s" in text
    assert ("Weights", words.SYNTHETIC) in words.conditions(verdict, verdict.findings[0])


def test_no_finding_no_headline(tmp_path) -> None:
    untried = next(one for one in examples.others(tmp_path) if one.outcome == "not_tested")
    assert words.headline(untried, {}) is None


def test_a_machine_without_a_record_keeps_its_name(tmp_path) -> None:
    found = examples.finding(tmp_path, "cell", machine="elsewhere")
    assert words.machine_of(found, {}).startswith("elsewhere (no description")
