"""The table of verdicts by kind of claim: on the index, in the terminal, in docs/measured.md."""

from __future__ import annotations

from pathlib import Path

import publish_examples as examples
from test_site import read

from harness.publish import counts


def test_each_kind_is_counted_once_and_all_are_the_sum() -> None:
    judged = [("memory", "refuted"), ("memory", "refuted"), ("opinion", "not_testable")]
    rows = counts.by_kind(judged)  # type: ignore[arg-type]
    assert [row.cells for row in rows] == [
        ("memory", "2", "0", "2", "0", "0", "0"),
        ("opinion", "1", "0", "0", "0", "0", "1"),
        ("all", "3", "0", "2", "0", "0", "1"),
    ]
    assert counts.HEADS[:3] == ("kind", "claims", "supported")


def test_the_index_has_them(site: Path, tmp_path: Path) -> None:
    said = " ".join(read(site / "index.html").text.split())
    rows = counts.by_kind(
        (one.claim.kind, one.outcome) for one in examples.realistic(tmp_path / "results")
    )
    assert len(rows) > 4
    assert "The same by kind of claim" in said
    for row in rows:
        assert f"{row.kind} {row.claims} claim" in said


def test_of_nothing_there_is_a_row_of_zeros() -> None:
    assert [row.cells for row in counts.by_kind([])] == [("all", *["0"] * 6)]
