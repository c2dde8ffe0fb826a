"""The task kind "word_problems": rows of GSM8K, answers of every sort, a real model.

The rows are the first three of GSM8K's test split (Cobbe et al., 2021; MIT licence, (c) OpenAI).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import llamas
import pytest

from harness.ask import tasks
from harness.ask.task_options import WordProblems
from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile
from harness.run.runtimes import settings_for
from harness.run.tasks import Item, word_problems
from harness.run.workloads.respondent import Listener

ROWS = Path(__file__).with_name("gsm8k_rows.jsonl")


def task(**options: Any) -> Task:
    name = ROWS.name
    source = HubRows.model_validate(
        {
            "kind": "hub",
            "repo": "openai/gsm8k",
            "revision": "a" * 40,
            "files": [{"name": name, "sha256": None, "bytes": None}],
            "members": {"questions": name, "examples": name},
        }
    )
    asked = {"kind": "word_problems", "extraction": "flexible"} | options
    changes = {
        "source": source,
        "rows": tasks.Rows(available=3, planned=3, seed=1),
        "options": WordProblems.model_validate(asked),
    }
    return tasks.load()["gsm8k"].model_copy(update=changes)


def item(extraction: str, answer: str = "It is 2+3 = 5.\n#### 1,018") -> Item:
    return Item("00000", [], {"answer": answer, "extraction": extraction})


def test_questions_are_put_as_lm_eval_puts_them() -> None:
    found = word_problems.items(task(shots=2), ROWS, None)
    assert len({one.id for one in found}) == 3
    first = next(one for one in found if one.id == "00000")
    roles = [message["role"] for message in first.messages]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert first.messages[-1]["content"].startswith("Question: Janet\u2019s ducks lay 16 eggs")
    assert first.messages[-1]["content"].endswith("\nAnswer:")
    assert first.messages[1]["content"].endswith("#### 18")
    assert [one.id for one in word_problems.items(task(), ROWS, 2)] == [one.id for one in found[:2]]


@pytest.mark.parametrize(
    ("extraction", "output", "outcome"),
    [
        ("strict", "so\n#### 1018", "right"),
        ("strict", "so\n#### 1,018.", "right"),
        ("strict", "#### 7 or #### 1018", "wrong_number"),  # the first counts
        ("strict", "so it is 1018", "no_number"),
        ("flexible", "so it is $1,018.", "right"),
        ("flexible", "1018 and not 7", "wrong_number"),  # the last counts
        ("flexible", "-1018", "wrong_number"),
        ("flexible", "one thousand and eighteen", "no_number"),
        ("flexible", "", "no_number"),
        ("flexible", "\x00\ud83d" + "9" * 5000, "wrong_number"),
    ],
)
def test_an_answer_has_its_outcome(extraction: str, output: str, outcome: str) -> None:
    score = word_problems.score(item(extraction), output)
    assert (score.outcome, score.correct) == (outcome, outcome == "right")
    assert outcome in word_problems.OUTCOMES
    assert len(score.detail) <= 200


def test_the_other_extraction_is_told() -> None:
    assert "strict: wrong" in word_problems.score(item("flexible"), "so it is 1018").detail
    assert "flexible: right" in word_problems.score(item("strict"), "so it is 1018").detail


@pytest.mark.parametrize("change", [{"question": ""}, {"answer": None}, {"answer": 5}])
def test_a_row_of_another_shape_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    rows[1] |= change
    path = tmp_path / ROWS.name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadFile, match="row 00001"):
        word_problems.items(task(), path, None)


def test_more_examples_than_there_are() -> None:
    with pytest.raises(BadFile, match="fewer than 4 examples"):
        word_problems.items(task(shots=4), ROWS, None)


def test_a_real_model_is_asked(smollm2: Path) -> None:
    runtime = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 1, 1024))
    known = task(shots=1).model_copy(update={"max_new_tokens": 24})
    one = word_problems.items(known, ROWS, 1)[0]
    listener = Listener(runtime, runtime.chat_template(), one.id)
    output = word_problems.ask(known, one, listener)
    assert word_problems.score(one, output).outcome in word_problems.OUTCOMES
    assert "Question:" not in output
