"""`harness show` on a run along a facet: a table for people, the record on demand."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from harness import cli

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "judge"))
records: Any = import_module("judge_records")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run of forty items, half of them clean and half under fog."""
    (tmp_path / "models.yaml").touch()
    (tmp_path / "claims").mkdir()
    monkeypatch.chdir(tmp_path)
    parts = (({"severity": "0"}, 10), ({"severity": "1", "degradation": "fog"}, 2))
    items = [
        records.item(at < right).model_copy(update={"facets": facets})
        for facets, right in parts
        for at in range(20)
    ]
    cell = records.Cell(task="made", model="quill", quantisation="Q4_0", runtime="llama.cpp")
    folder: Path = records.write(tmp_path / "results", cell, items)
    return folder.name


def test_a_run_along_a_facet_is_a_table(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", run]) == 0
    head, clean, fog, halving = capsys.readouterr().out.splitlines()
    assert head.split() == ["under", "severity", "accuracy", "95%", "interval", "items"]
    assert clean.split() == ["fog", "0", "50.0%", "29.9%", "to", "70.1%", "20"]
    assert fog.split() == ["fog", "1", "10.0%", "2.8%", "to", "30.1%", "20"]
    assert halving.startswith("fog: halved at severity 1; the intervals allow it from severity 1")


def test_its_record_is_shown_on_demand(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == run
