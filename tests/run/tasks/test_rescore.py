"""Stored answers scored again: the same rule says the same, and changed rows are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.ask.tasks import Task
from harness.errors import UserError
from harness.run import store
from harness.run.records import Run
from harness.run.rescore import rescored

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def stored() -> tuple[Path, Run]:
    runs = store.runs(ROOT / "results")
    return next(one for one in runs if one[1].task and one[1].task.id == "bfcl_simple_python")


def test_a_real_run_is_scored_as_it_was(stored: tuple[Path, Run], task: Task, wheel: Path) -> None:
    found = rescored(task, wheel, store.read_samples(stored[0]))
    assert len(found) == stored[1].samples
    for item, score in found:
        assert (score.outcome, score.correct) == (item.outcome, item.correct)
        assert score.by_other_rules.keys() == {"bfcl"}


def test_other_rows_are_refused(stored: tuple[Path, Run], task: Task, wheel: Path) -> None:
    other = task.model_copy(update={"prompt": f"{task.prompt} Be brief."})
    with pytest.raises(UserError, match="asks something else by now"):
        rescored(other, wheel, store.read_samples(stored[0]))


def test_the_script_tells_each_rule(stored: tuple[Path, Run], wheel: Path) -> None:
    command = [sys.executable, ROOT / "scripts" / "compare-rules", stored[1].id]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    rules = [line.split("  ")[0] for line in done.stdout.splitlines()[1:4]]
    assert rules == ["as stored", "canonical", "bfcl"]
    missing = subprocess.run([*command[:2], "none"], capture_output=True, text=True, cwd=ROOT)
    assert missing.returncode == 2 and "run" in missing.stderr
