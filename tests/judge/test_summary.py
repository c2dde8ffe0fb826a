"""What a run of a task comes to, for people at a terminal."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.judge.summary import summary
from harness.run import store

sys.path.append(str(Path(__file__).parent))
records: Any = import_module("judge_records")


def told(tmp_path: Path, data: list[Any]) -> dict[str, tuple[str, str]]:
    asked = records.claim("tool_call_accuracy", ">=", 0.5, len(data), task="made_offers")
    records.run_all(tmp_path, asked, data)
    ((folder, run),) = store.runs(tmp_path)
    rows = summary(run, store.read_samples(folder))
    return {name: (value, note) for name, value, note in rows}


def made(id_: str, right: bool, **by: bool) -> Any:
    outcome = "exact" if right else "missing_call"
    changes = {"item": id_, "by_other_rules": by}
    return records.item(right, outcome).model_copy(update=changes)


def test_shares_by_rule_and_by_part(tmp_path: Path) -> None:
    data = [made(f"{size}-00{at}", size == 1, bfcl=True) for size in (16, 1, 2) for at in range(4)]
    rows = told(tmp_path, data)
    assert rows["correct"][0] == "33.3%" and "n = 12" in rows["correct"][1]
    assert rows["correct by bfcl"][0] == "100.0%"
    assert [(name, rows[name][0]) for name in rows if name.startswith("correct of")] == [
        ("correct of 1", "100.0%"), ("correct of 2", "0.0%"), ("correct of 16", "0.0%"),
    ]  # fmt: skip


def test_shares_of_answers_in_parts(tmp_path: Path) -> None:
    data = [records.item(True, "right"), records.item(False, "partly_right", 0.5)]
    assert told(tmp_path, data)["correct"][0] == "75.0%"


def test_rows_that_were_not_made_have_no_parts(tmp_path: Path) -> None:
    data = [made("simple_python_12", True), made("live_simple_1-2-003", False)]
    assert [name for name in told(tmp_path, data) if name.startswith("correct")] == ["correct"]


def test_parts_are_shared_by_rule_and_stand_or_fall_with_their_item(tmp_path: Path) -> None:
    """Instructions of one request are no samples of their own."""
    pairs = [(True, True)] * 11 + [(True, False)] * 2 + [(False, False)] * 7
    items = [
        made(f"{at:05}", False).model_copy(update={"parts": {"strict": {"a": one, "b": other}}})
        for at, (one, other) in enumerate(pairs)
    ]
    value, note = told(tmp_path, items)["parts right, strict"]
    assert value == "60.0%"
    assert note.endswith("n = 40)")
    low, _, high, *_ = note.split()
    alone = [made(f"{at:05}", at % 5 < 3) for at in range(40)]
    narrow, _, wide, *_ = told(tmp_path / "alone", alone)["correct"][1].split()
    assert float(low[:-1]) < float(narrow[:-1]) < float(wide[:-1]) < float(high[:-1])
