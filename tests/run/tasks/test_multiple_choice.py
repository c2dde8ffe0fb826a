"""The task kind "multiple_choice": made-up rows, every way to score them, a real model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llamas
import pytest

from harness.ask import tasks
from harness.ask.task_options import MultipleChoice
from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile
from harness.plan.cells import Cell
from harness.run.gates import gates
from harness.run.protocol import Request
from harness.run.records import ItemData, Sample
from harness.run.runtimes import RUNTIMES, settings_for
from harness.run.tasks import Item, multiple_choice
from harness.run.workloads import items
from harness.run.workloads.respondent import Listener

ROW = {"question": " What barks? ", "choices": ["a cat", "a dog", "tea"], "answer": 1}
MINE: dict[str, Any] = {"kind": "multiple_choice", "scored": "letters"}


def task(folder: Path, rows: Sequence[dict[str, Any]], **options: Any) -> tuple[Task, Path]:
    """A task of these rows, which are its examples as well."""
    name = "rows.json"
    (folder / name).write_text(json.dumps(rows))
    where = HubRows.model_validate(
        {
            "kind": "hub",
            "repo": "some-org/quiz",
            "revision": "a" * 40,
            "files": [{"name": name, "sha256": None, "bytes": None}],
            "members": {"questions": name, "examples": name},
        }
    )
    prompt = "{{ question }}\n{{ options }}\nAnswer:"
    if options.get("scored") == "texts":
        prompt = "{{ question }}\nAnswer:"
    changes = {
        "name": "quiz",
        "source": where,
        "rows": tasks.Rows(available=len(rows), planned=len(rows), seed=1),
        "options": MultipleChoice.model_validate(MINE | options),
        "prompt": prompt,
        "max_new_tokens": 8,
    }
    return tasks.load()["mmlu"].model_copy(update=changes), folder / name


def only(folder: Path, row: dict[str, Any], **options: Any) -> Item:
    (item,) = multiple_choice.items(*task(folder, [row], **options), None)
    return item


def test_letters_follow_the_options(tmp_path: Path) -> None:
    item = only(tmp_path, ROW)
    text = "What barks?\nA. a cat\nB. a dog\nC. tea\nAnswer:"
    assert item.messages == [{"role": "user", "content": text}]
    assert item.payload["options"] == [" A", " B", " C"]


def test_texts_are_scored_as_they_stand(tmp_path: Path) -> None:
    item = only(tmp_path, ROW, scored="texts")
    assert item.messages[0]["content"] == "What barks?\nAnswer:"
    assert item.payload["options"] == [" a cat", " a dog", " tea"]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [(1, None), ("B", None), ("b", None), ("2", None), ("z", ["x", "z", "y"]), (7, [3, 7, 9])],
)
def test_every_way_to_give_the_answer(tmp_path: Path, answer: Any, labels: Any) -> None:
    row = ROW | {"answer": answer, "names": labels}
    item = only(tmp_path, row, labels="names" if labels else None)
    assert item.payload["answer"] == 1


@pytest.mark.parametrize("answer", [3, -1, "D", "0", "4", "", None, True, "AB", 1.0])
def test_an_answer_that_is_no_option_names_its_row(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(BadFile, match="task quiz, row 00000: the answer"):
        only(tmp_path, ROW | {"answer": answer})


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"choices": []}, {}),
        ({"choices": ["one"]}, {}),
        ({"choices": "a, b"}, {}),
        ({}, {"choices": "choices.text"}),
        ({}, {"question": "asked"}),
        ({}, {"subject": "topic"}),
        ({"topic": "x"}, {"subject": "topic", "shots": 2}),
    ],
    ids=str,
)
def test_a_row_of_another_shape_is_named(
    tmp_path: Path, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(BadFile, match=r"00000|example 0"):
        only(tmp_path, ROW | changes, **options)


def test_subjects_are_asked_in_a_row_with_their_own_examples(tmp_path: Path) -> None:
    rows = [ROW | {"question": f"Q{at}", "topic": f"topic_{at % 3}"} for at in range(12)]
    known = task(tmp_path, rows, subject="topic", shots=2, preamble="About {{ subject }}.")
    found = multiple_choice.items(*known, None)
    topics = [item.messages[0]["content"].split("\n")[0] for item in found]
    assert topics == sorted(topics)
    assert set(topics) == {"About topic 0.", "About topic 1.", "About topic 2."}
    parts = found[0].messages[0]["content"].split("\n\n")
    assert [part.split("\n")[0] for part in parts[:3]] == ["About topic 0.", "Q0", "Q3"]
    assert [part.endswith("Answer: B") for part in parts] == [False, True, True, False]
    fewer = {item.id for item in multiple_choice.items(*known, 5)}
    assert fewer < {item.id for item in found}


LIKELY = [-3.0, -2.0, -2.0]


@pytest.mark.parametrize(
    ("options", "output", "outcome"),
    [
        ({}, json.dumps(LIKELY), "right"),  # of equals the first
        ({}, json.dumps([-1.0, -2.0, -2.0]), "wrong_answer"),
        ({"scored": "texts"}, json.dumps([-9.0, -8.0, -7.0]), "wrong_answer"),
        ({"scored": "texts", "normalised": True}, json.dumps([-9.0, -8.0, -7.0]), "right"),
        ({"scored": "written"}, "B. a dog", "right"),
        ({"scored": "written"}, "The answer is A", "wrong_answer"),
        ({"scored": "written"}, "D", "no_letter"),  # there are three
        ({"scored": "written"}, "", "no_letter"),
        ({"scored": "written"}, "\x00 woof", "no_letter"),
    ],
)
def test_a_score(tmp_path: Path, options: dict[str, Any], output: str, outcome: str) -> None:
    score = multiple_choice.score(only(tmp_path, ROW, **options), output)
    assert (score.outcome, score.correct) == (outcome, outcome == "right")
    assert score.outcome in multiple_choice.OUTCOMES


def test_length_is_that_of_the_text_alone(tmp_path: Path) -> None:
    """lm-eval divides by len(choice), without the space that stands before it."""
    item = only(tmp_path, ROW, scored="texts", normalised=True)
    assert item.payload["lengths"] == [5, 5, 3]


def test_a_real_model_is_asked(smollm2: Path, tmp_path: Path) -> None:
    """The examples are computed for the first item of their subject only."""
    runtime = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 1, 512))
    rows = [
        {"question": "The capital of France is", "choices": ["Paris", "Oslo"], "answer": 0},
        {"question": "The sun rises in the", "choices": ["west", "east"], "answer": 1},
        {"question": "Two plus two is", "choices": ["four", "nine"], "answer": 0},
    ]
    for scored in ("letters", "texts", "written"):
        known, data = task(tmp_path, rows, scored=scored, shots=2)
        reused = []
        for item in multiple_choice.items(known, data, None):
            one = Listener(runtime, runtime.chat_template(), item.id)
            score = multiple_choice.score(item, multiple_choice.ask(known, item, one))
            assert score.outcome in multiple_choice.OUTCOMES
            reused.append(one.turns[0].get("reused_tokens", 0))
        assert reused[0] < 10
        assert all((one > 20) == (scored != "written") for one in reused[1:]), reused


class Said:
    """A channel that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def send(self, kind: str, **_: Any) -> None:
        self.events.append(kind)


def test_the_record_of_an_item_holds_what_its_options_got(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [ROW | {"question": f"What barks, question {at}?"} for at in range(3)]
    known, data = task(tmp_path, rows, shots=2)
    monkeypatch.setattr("harness.ask.tasks.load", lambda: {"quiz": known})
    settings = settings_for("llama.cpp", "cpu", 1, 512)
    request = Request(
        workload="items",
        runtime=RUNTIMES["llama.cpp"].target,
        artifact=str(smollm2),
        settings=settings,
        task="quiz",
        task_data=str(data),
    )
    said = Said()
    found = [ItemData.model_validate(one) for one in items.measure(request, said)]  # type: ignore[arg-type]
    assert said.events == ["applied", "item", "item", "item"]
    for one in found:
        assert json.loads(one.output) == [sum(option) for option in one.logprobs]
        assert (one.stopped, one.new_tokens, len(one.logprobs)) == (None, 0, 3)
    assert [one.reused_tokens > 0 for one in found] == [False, True, True]
    samples = [Sample(index=0, started="", seconds=1.0, data=one) for one in found]
    assert evaluated(samples) is True
    worse = found[1].model_copy(update={"reused_tokens": 0})
    assert evaluated([samples[0].model_copy(update={"data": worse})]) is False


def evaluated(samples: list[Sample]) -> bool | None:
    cell = Cell(task="quiz", model="any", runtime="llama.cpp", device="cpu")
    checked = gates(cell, settings_for("llama.cpp", "cpu", 1, 512), None, samples)
    return {gate.name: gate.passed for gate in checked}["evaluated tokens"]
