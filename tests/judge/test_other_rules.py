"""A verdict that rests on the choice of a scoring rule says so."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from harness.judge import judge

sys.path.append(str(Path(__file__).parent))
records: Any = import_module("judge_records")


def items(ours: int, theirs: int, both: int, n: int = 100) -> list[Any]:
    """Items right by our rule only, by BFCL's only, by both, and by none."""
    kinds = [(True, False)] * ours + [(False, True)] * theirs + [(True, True)] * both
    kinds += [(False, False)] * (n - len(kinds))
    return [
        records.item(mine).model_copy(update={"by_other_rules": {"bfcl": other}})
        for mine, other in kinds
    ]


def test_a_rule_that_gives_parts_is_counted_in_parts(tmp_path: Path) -> None:
    asked = records.claim("task_accuracy", ">=", 0.7, 100, task="docvqa")
    data = [one.model_copy(update={"by_other_rules": {"strict": 0.5}}) for one in items(0, 0, 100)]
    records.run_all(tmp_path, asked, data)
    (finding,) = judge.judge(tmp_path, [asked], {})[0].findings
    assert "by the rule of strict the share is 0.5: it would be refuted" in finding.warnings


@pytest.mark.parametrize(
    ("metric", "data", "warned"),
    [
        ("tool_call_accuracy", items(0, 60, 10), "share is 0.7: it would be supported"),
        ("tool_call_accuracy", items(0, 40, 10), "share is 0.5: it would stay open"),
        ("tool_call_accuracy", items(5, 5, 10), None),
        ("tool_call_accuracy", records.items(10, 90), None),
        ("invented_share", items(0, 60, 10), None),  # counts outcomes, which one rule defines
    ],
)
def test_the_warning(tmp_path: Path, metric: str, data: list[Any], warned: str | None) -> None:
    op, threshold = (">=", 0.5) if metric == "tool_call_accuracy" else ("<=", 0.5)
    asked = records.claim(metric, op, threshold, 100, task="bfcl_irrelevance")
    records.run_all(tmp_path, asked, data)
    (finding,) = judge.judge(tmp_path, [asked], {})[0].findings
    told = [warning for warning in finding.warnings if "rule of bfcl" in warning]
    assert len(told) == (warned is not None)
    assert warned is None or warned in told[0]
