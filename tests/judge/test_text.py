"""Perplexity, agreement and loss from stored windows and answers, as figures and as claims."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from harness.judge import judge, text
from harness.run.records import ItemData
from harness.statistics import around

sys.path.append(str(Path(__file__).parent))
records: Any = import_module("judge_records")


def window(at: int, logprobs: Sequence[float], likeliest: Sequence[int]) -> ItemData:
    changes = {"item": f"{at:03}", "logprobs": [list(logprobs)], "likeliest": [list(likeliest)]}
    return alike(records.item(False).model_copy(update=changes))


def alike(item: ItemData) -> ItemData:
    return item.model_copy(update={"prompt_ids_sha256": records.SHA})


def answers(right: Sequence[bool]) -> list[ItemData]:
    return [
        alike(records.item(one)).model_copy(update={"item": f"{at:03}"})
        for at, one in enumerate(right)
    ]


def test_perplexity_is_that_of_all_tokens() -> None:
    data = [window(0, [-1.0, -3.0], [1, 1]), window(1, [-4.0, -2.0], [1, 1])]
    found = text.perplexity(records.samples(data))
    assert found
    assert found.value == pytest.approx(math.exp(10 / 4))
    assert found.low < found.value < found.high
    assert found.n == 2
    assert text.perplexity(records.samples(data[:1])) is None
    assert text.perplexity(records.samples(answers([True, False]))) is None


def test_two_runs_are_compared_window_by_window() -> None:
    """Windows differ a hundredfold, their ratios hardly: the interval is that of the ratios."""
    likeliest = [1, 2, 3, 4]
    one = [window(at, [-at - 0.10 - at / 100] * 4, likeliest) for at in range(5)]
    other = [window(at, [-at] * 4, [1, 2, 3, at]) for at in range(6)]
    samples = records.samples(one), records.samples(other)
    ratio = text.ratio(*samples)
    assert ratio
    assert ratio.value == pytest.approx(math.exp(0.12))
    assert ratio.high / ratio.low < 1.05
    same = text.agreement(*samples)
    estimate = same.estimate()
    assert estimate
    assert estimate.value == 16 / 20  # the fourth token is alike in window 4 alone
    assert len(set(same.windows)) == 5


def test_only_windows_that_both_scored_are_set_side_by_side() -> None:
    one = [window(at, [-1.0] * 4, [7] * 4) for at in range(4)]
    other = [window(at, [-9.0 if at > 3 else -1.0] * 4, [7] * 4) for at in range(2, 6)]
    mine, theirs = text.shared(records.samples(one), records.samples(other))
    assert [len(mine), len(theirs)] == [2, 2]
    found = text.perplexity(theirs)
    assert found and found.value == pytest.approx(math.e)


def test_tokens_of_a_window_are_no_independent_items() -> None:
    """Ten windows, each all alike or not at all: that is no more than ten items tell."""
    mine = [window(at, [-1.0] * 100, [1] * 100) for at in range(10)]
    theirs = [window(at, [-1.0] * 100, [1 if at < 9 else 2] * 100) for at in range(10)]
    estimate = text.agreement(records.samples(mine), records.samples(theirs)).estimate()
    assert estimate
    assert estimate.value == 0.9
    assert estimate.low < 0.65


def test_a_margin_about_zero_is_the_margin_itself() -> None:
    assert around(0, 0.02) == (-0.02, 0.02)
    assert around(50, 0.02) == (49, 51)


LOSS = {"quantisation": "int8", "against": ["quill", "fp32"], "task": "easy_vqa"}


@pytest.mark.parametrize(
    ("mine", "other", "said", "estimate"),
    [
        ([True] * 200, [True] * 200, "supported", 0.0),
        ([True] * 150 + [False] * 50, [True] * 200, "refuted", -0.25),
        ([True] * 200, [True] * 150 + [False] * 50, "refuted", 0.25),
        ([True] * 198 + [False] * 2, [True] * 200, "inconclusive", -0.01),
        # As many right, and not the same ones: a difference of two shares would see nothing.
        ([True] * 100 + [False] * 100, [False] * 100 + [True] * 100, "inconclusive", 0.0),
    ],
)
def test_a_loss_is_judged_item_by_item(
    mine: list[bool], other: list[bool], said: str, estimate: float, tmp_path: Path
) -> None:
    asked = records.claim("accuracy_lead", "same", 0, 200, margin=0.02, **LOSS)
    records.run_all(tmp_path, asked, answers(mine), answers(other))
    verdict = judge.judge(tmp_path, [asked], {})[0]
    (finding,) = verdict.findings
    assert (verdict.outcome, finding.estimate) == (said, estimate)
    assert finding.n == 200
    assert len(finding.evidence) == 4


def test_agreement_and_perplexity_are_judged(tmp_path: Path) -> None:
    windows = [window(at, [-3.0 - at / 100] * 50, [7] * 50) for at in range(20)]
    others = [window(at, [-3.0] * 50, [7] * 49 + [8]) for at in range(20)]
    asked = records.claim("top1_agreement", ">=", 0.9, 20, **LOSS | {"task": "a_text"})
    records.run_all(tmp_path, asked, windows, others)
    limit = records.claim(
        "perplexity", "<=", 25, 20, id="900-2", quantisation="int8", task="a_text"
    )
    verdicts = judge.judge(tmp_path, [asked, limit], {})
    assert [one.outcome for one in verdicts] == ["supported", "supported"]
    assert [one.findings[0].estimate for one in verdicts] == [
        pytest.approx(0.98),
        pytest.approx(math.exp(3.095)),
    ]
    assert [one.findings[0].n for one in verdicts] == [20, 20]


def test_runs_that_were_not_asked_the_same_do_not_compare(tmp_path: Path) -> None:
    asked = records.claim("accuracy_lead", "same", 0, 200, margin=0.02, **LOSS)
    other = [
        one.model_copy(update={"prompt_ids_sha256": "1" * 64}) for one in answers([True] * 200)
    ]
    records.run_all(tmp_path, asked, answers([True] * 200), other)
    verdict = judge.judge(tmp_path, [asked], {})[0]
    assert verdict.outcome == "inconclusive"
    assert "do not compare" in verdict.reason


def test_a_pair_that_was_half_run_is_not_tested(tmp_path: Path) -> None:
    asked = records.claim("accuracy_lead", "same", 0, 200, margin=0.02, **LOSS)
    ours, _ = records.cells_of(asked)
    records.write(tmp_path, ours, answers([True] * 200))
    assert judge.judge(tmp_path, [asked], {})[0].outcome == "not_tested"
