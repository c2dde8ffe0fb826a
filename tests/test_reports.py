"""DuckDB's tables say what the records say, and SQL reaches nothing else."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from harness import reports
from harness.ask import claims
from harness.cli import main
from harness.errors import MissingError, UserError
from harness.judge import judge
from harness.plan.cells import Cell
from harness.run import store

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
sys.path.append(str(ROOT / "tests" / "judge"))
records: Any = import_module("judge_records")
TASK = Cell(task="t", model="m", quantisation="Q4_0", runtime="llama.cpp", device="cpu")


def rows(sql: str, results: Path = RESULTS) -> list[tuple[Any, ...]]:
    return reports.ask(results, sql)[1]


def test_runs_are_the_stored_ones() -> None:
    told = rows("SELECT id, machine, task, model, samples, failed, valid FROM runs")
    stored = [
        (run.id, run.machine, run.cell.task, run.cell.model, run.samples, run.failed, run.valid)
        for _, run in store.runs(RESULTS)
    ]
    assert sorted(told, key=str) == sorted(stored, key=str)


def test_samples_are_the_lines_of_the_runs() -> None:
    told = Counter(rows("SELECT run, outcome, correct FROM samples"))
    stored = Counter(
        (run.id, getattr(one.data, "outcome", None), getattr(one.data, "correct", None))
        for folder, run in store.runs(RESULTS)
        for one in store.read_samples(folder)
    )
    assert told == stored


def test_verdicts_are_the_stored_ones() -> None:
    told = Counter(rows("SELECT claim, kind, outcome, metric FROM verdicts"))
    stored = Counter(
        (one.claim.id, one.claim.kind, one.outcome, one.rule.metric if one.rule else None)
        for one in judge.read(RESULTS, claims.load(ROOT / "claims").values())
    )
    assert told == stored


def test_what_a_model_says_is_data(tmp_path: Path) -> None:
    hostile = "'; DROP VIEW runs; -- \x1b[2J"
    said = records.item(False, hostile).model_copy(update={"output": hostile})
    records.write(tmp_path, TASK, [said])
    assert rows("SELECT outcome, output FROM samples", tmp_path) == [(hostile, hostile)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "ATTACH '/tmp/other.db'",
        "SELEC 1",
    ],
)
def test_sql_reaches_nothing_but_the_records(sql: str) -> None:
    with pytest.raises(UserError):
        reports.ask(RESULTS, sql)


def test_without_records_the_tables_are_empty(tmp_path: Path) -> None:
    for name in reports.TABLES:
        assert rows(f"SELECT count(*) FROM {name}", tmp_path) == [(0,)]
        columns = [row[0] for row in rows(f"DESCRIBE {name}", tmp_path)]
        assert columns == [row[0] for row in rows(f"DESCRIBE {name}")]


def test_a_path_that_duckdb_would_take_for_a_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reads no folder"):
        reports.ask(tmp_path / "a*b", "SELECT 1")


def test_without_duckdb_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingError, match=re.escape("pip install 'claimbench[reports]'")):
        reports.ask(RESULTS, "SELECT 1")


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT 1 AS one, chr(27) || 'a' AS other, DATE '2026-01-01' AS day"
    assert main(["query", sql]) == 0
    told = capsys.readouterr().out
    assert told.split() == ["one", "other", "day", "1", "a", "2026-01-01"] and "\x1b" not in told
    assert main(["query", sql, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"one": 1, "other": "\x1ba", "day": "2026-01-01"}
    ]
