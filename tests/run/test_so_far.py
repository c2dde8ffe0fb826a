"""A task under way: what is told of it, and a look that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sessions import TASK, cell, planned, runs, samples, session

from harness.ask.claims import Claim
from harness.judge import judge
from harness.run import store
from harness.run.records import ItemData, Sample
from harness.run.session import Session
from harness.run.so_far import SoFar

SHA = "0" * 64


def answered(right: Sequence[bool], group: str | None = None) -> list[Sample]:
    data = [
        ItemData(
            item=f"{at}",
            item_sha256=SHA,
            prompt_sha256=SHA,
            prompt_tokens=1,
            evaluated_tokens=1,
            new_tokens=1,
            stopped="end",
            output="",
            outcome="right",
            correct=one,
            detail="",
            group=group,
        )
        for at, one in enumerate(right)
    ]
    return [Sample(index=at, started="", seconds=0.5, data=one) for at, one in enumerate(data)]


def test_rate_time_left_and_share_are_told() -> None:
    found = SoFar(answered([True] * 8 + [False] * 2))
    assert found.told(30) == "2 items/s, 10 s left, 80% so far (35% to 99% at any look)"
    assert SoFar(answered([True])).told(1000).startswith("2 items/s, 8 min left, 100% so far (")
    assert SoFar().told(30) == ""


def test_an_item_without_an_answer_takes_time_and_is_worth_nothing_known() -> None:
    crashed = Sample(index=0, started="", seconds=2, cause="crashed")
    found = SoFar([crashed])
    assert found.told(2) == "0.5 items/s, 2 s left"
    assert found.share() is None


def test_items_of_a_group_count_once() -> None:
    alone, together = SoFar(answered([True] * 40)), SoFar(answered([True] * 40, "picture"))
    one, other = alone.share(), together.share()
    assert one and other
    assert (one.n, other.n) == (40, 1)


def claim(n: int) -> Claim:
    return Claim.model_validate(
        {
            "id": "900-1",
            "page": "900",
            "tool": "Tiny",
            "who": "blurb",
            "quote": "never right",
            "kind": "accuracy",
            "reading": "as it stands",
            "model": "tiny",
            "rule": {
                "metric": "tool_call_accuracy",
                "op": "<=",
                "threshold": 0.9,
                "why": "a test",
                "n": n,
                "conditions": {"task": TASK, "quantisation": "Q4_0", "runtime": "Honest"},
            },
        }
    )


def exploring(results: Path, said: list[str], width: float | None) -> Session:
    one = session(results, said)
    one.until_width = width
    return one


@pytest.mark.parametrize("n", [5, 40])
def test_a_run_that_a_look_ended_gives_no_verdict(tmp_path: Path, n: int) -> None:
    """Not even to a rule that would be content with as many items; the whole run then does."""
    said: list[str] = []
    one = exploring(tmp_path, said, 0.5)
    wanted = planned(one, (cell(TASK, "Honest"), 40))
    one.run(wanted)
    (run,) = runs(tmp_path).values()
    assert 5 <= run.samples < 40 == run.planned
    assert len(samples(tmp_path, run)) == run.samples
    assert not run.valid
    assert [gate.name for gate in run.gates if gate.passed is False][-1] == "planned n"
    assert f"{run.samples}/40: " in said[-1] and "at any look" in said[-1]
    asked = claim(n)
    verdict = judge.judge(tmp_path, [asked], {})[0]
    assert verdict.outcome == "inconclusive"
    assert "'planned n' failed (stopped early" in verdict.reason
    whole = exploring(tmp_path, said, None)
    assert len(whole.pending(wanted)) == 1
    whole.run(wanted)
    assert sorted(one.samples for _, one in store.runs(tmp_path)) == [run.samples, 40]
