"""Cells: one per thing to measure, equal where two rules ask for the same, named for people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.ask import claims
from harness.ask.claims import Claim
from harness.plan.cells import Cell, cells_of, digest

ROOT = Path(__file__).parents[2]
CLAIMS = claims.load(ROOT / "claims")
RULED = [claim for claim in CLAIMS.values() if claim.rule]
ALL = {cell for claim in RULED for cell in cells_of(claim)}


@pytest.mark.parametrize("claim", RULED, ids=lambda claim: claim.id)
def test_a_claims_cells_are_unique_and_stable(claim: Claim) -> None:
    cells = cells_of(claim)
    assert cells == cells_of(claim)
    assert len(set(cells)) == len(cells) > 0
    assert all(
        cells_of(other) == cells
        for other in RULED
        if other.rule == claim.rule and (other.model, other.page) == (claim.model, claim.page)
    )


def test_a_claim_without_a_rule_has_no_cells() -> None:
    assert all(cells_of(claim) == [] for claim in CLAIMS.values() if claim.rule is None)


def test_names_are_told_apart_and_fit_for_folders() -> None:
    names = {cell.name for cell in ALL}
    assert len(names) == len(ALL)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,120}", name)


def test_a_name_leads_nowhere_else() -> None:
    cell = Cell(workload="speed", model="../up", device="npu:qnn", runtime="llama.cpp")
    assert cell.name == "speed_..-up_llama.cpp_npu-qnn"


def test_a_cell_tells_what_a_rule_names_and_nothing_of_its_threshold() -> None:
    rate = CLAIMS["002-04-speed"]
    assert rate.rule is not None
    other = rate.model_copy(
        update={"id": "x", "rule": rate.rule.model_copy(update={"threshold": 99, "n": 50})}
    )
    assert cells_of(other) == cells_of(rate)
    faster = rate.rule.conditions.model_copy(update={"prompt_tokens": 128})
    other = rate.model_copy(update={"rule": rate.rule.model_copy(update={"conditions": faster})})
    assert cells_of(other) != cells_of(rate)


def test_a_pair_is_two_cells_that_differ_in_the_model() -> None:
    one, two = cells_of(CLAIMS["002-13"])
    assert (one.model, two.model) == ("llama-3.1-8b-instruct", "smollm3-3b")
    assert one.model_copy(update={"model": two.model}) == two


def test_a_bracket_has_one_cell_per_context() -> None:
    cells = cells_of(CLAIMS["smoke-fit"])
    assert [cell.context for cell in cells] == [2048, 8192]
    assert {cell.memory_limit for cell in cells} == {768 << 20}


def test_a_digest_is_the_same_in_every_process() -> None:
    code = (
        "from harness.ask import claims; from harness.plan.cells import *;"
        "print(digest([cells_of(one) for one in claims.load().values()]))"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest([cells_of(one) for one in CLAIMS.values()])


def test_what_json_cannot_hold_has_no_digest() -> None:
    with pytest.raises(TypeError, match="object has no place in a digest"):
        digest(object())
