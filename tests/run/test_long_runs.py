"""Runs of long texts: the lengths of a context, and what becomes of one that does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sessions import runs, samples, session
from workers import SETTINGS

from harness.plan.cells import Cell
from harness.plan.planner import Planner
from harness.run.records import ItemData

pytestmark = pytest.mark.usefixtures("cache")
MIB = 1 << 20


def asked(results: Path, n: int, runtime: str, limit: int | None = None) -> list[ItemData | str]:
    """What came of each item in turn: an answer, or the cause why there is none."""
    one = session(results)
    cell = Cell(
        task="needle",
        model="tiny",
        quantisation="Q4_0",
        runtime=runtime,
        device="cpu",
        context=2048,
        memory_limit=limit,
    )
    plan = Planner(one.models, one.tasks, {}).planned(cell, n)
    settings = replace(SETTINGS, context=2048)
    assert one.run([replace(plan, settings=settings, problem=None)]) == []
    (run,) = runs(results).values()
    assert (run.samples, run.planned, run.valid) == (n, n, True)
    found = samples(results, run)
    assert all(bool(sample.limit) == bool(limit) for sample in found)
    return [sample.data or str(sample.cause) for sample in found]  # type: ignore[misc]


def test_a_run_asks_the_lengths_of_its_context_in_turn(tmp_path: Path) -> None:
    found = asked(tmp_path, 5, "Honest")
    answered = [one for one in found if isinstance(one, ItemData)]
    names = ["1024-000", "2048-000", "1024-001", "2048-001", "1024-002"]
    assert [one.item for one in answered] == names
    assert [one.facets["length"] for one in answered] == [name[:4] for name in names]
    assert [one.group for one in answered] == ["000", "000", "001", "001", "002"]
    for one in answered:
        room = int(one.facets["length"]) - 48
        assert room - 150 < one.prompt_tokens <= room  # a token of this runtime is a byte


def test_a_length_that_does_not_fit_the_cap_is_told_and_the_others_are_answered(
    tmp_path: Path,
) -> None:
    found = asked(tmp_path, 4, "Hungry", limit=400 * MIB)
    assert found[1::2] == ["out_of_memory"] * 2
    assert [one.item for one in found[::2] if isinstance(one, ItemData)] == ["1024-000", "1024-001"]
