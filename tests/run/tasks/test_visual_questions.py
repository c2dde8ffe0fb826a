"""The task kind "visual_questions": easy-VQA's own rows, and answers of every sort."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import BadFile, UserError
from harness.prepare.pypi import fetch_wheel
from harness.run.images import decode
from harness.run.protocol import Request, Settings
from harness.run.records import ItemData
from harness.run.tasks import Item, visual_questions
from harness.run.workloads.items import measure

_buffer = io.BytesIO()
Image.new("RGB", (64, 64), "red").save(_buffer, "PNG")
PNG = _buffer.getvalue()
ANSWERS = ["circle", "green", "no", "yes"]
ITEM = Item("1", [], {"answer": "yes", "answers": ANSWERS})


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load()["easy_vqa"]


@pytest.fixture(scope="module")
def wheel(task: Task) -> Path:
    source = task.source
    wanted = (source.package, source.version, source.wheel, source.wheel_sha256)
    return fetch_wheel(*wanted, wheel_bytes=source.wheel_bytes)


@pytest.mark.parametrize(
    ("outcome", "output"),
    [
        ("right", "yes"),
        ("right", " Yes.\n"),
        ("right", "YES ."),
        ("wrong_answer", "no"),
        ("wrong_answer", " circle"),
        ("not_an_answer", "yes, it is"),
        ("not_an_answer", "yes no"),
        ("not_an_answer", "yes.."),
        ("not_an_answer", "\x00" * 5000),
        ("empty", ""),
        ("empty", " \n"),
        ("empty", "."),
    ],
)
def test_an_answer_has_its_outcome(outcome: str, output: str) -> None:
    score = visual_questions.score(ITEM, output)
    assert (score.outcome, score.correct) == (outcome, outcome == "right")
    assert outcome in visual_questions.OUTCOMES
    assert len(score.detail) <= 200


def test_every_row_is_an_item_with_its_picture(task: Task, wheel: Path) -> None:
    items = visual_questions.items(task, wheel, task.rows.available)
    assert len({item.id for item in items}) == task.rows.available == 9673
    assert len({item.group for item in items}) == 1000
    assert {item.payload["answer"] for item in items} == set(items[0].payload["answers"])
    assert len(items[0].payload["answers"]) == 13
    pictures = {item.group: item.images for item in items}
    assert all(pictures[item.group] == item.images for item in items)
    assert {decode(data, "one").shape for (data,) in pictures.values()} == {(64, 64, 3)}


def test_a_question_stands_after_its_own_picture(task: Task, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        rows = json.loads(archive.read("easy_vqa/data/test/questions.json"))
        for item in visual_questions.items(task, wheel, 20):
            question, answer, picture = rows[int(item.id)]
            image, text = item.messages[0]["content"]
            assert (image["type"], text["text"]) == ("image", question)
            assert item.payload["answer"] == answer
            name = f"easy_vqa/data/test/images/{picture}.png"
            assert item.images == (archive.read(name),)
            assert visual_questions.score(item, answer).correct


def test_a_longer_run_only_adds_items(task: Task, wheel: Path) -> None:
    longer = visual_questions.items(task, wheel, None)
    assert len(longer) == task.rows.planned
    assert visual_questions.items(task, wheel, 5) == longer[:5]


def test_what_the_data_cannot_meet_is_refused(task: Task, wheel: Path) -> None:
    with pytest.raises(UserError, match="9673 rows"):
        visual_questions.items(task, wheel, 9674)
    with pytest.raises(BadFile, match="the prompt must hold"):
        visual_questions.items(task.model_copy(update={"prompt": "Look."}), wheel, 1)


def changed(task: Task, tmp_path: Path, **parts: Any) -> tuple[Task, Path]:
    """The task on a wheel of two rows, some of its parts otherwise."""
    rows = [["is it green?", "yes", 0], ["what is it?", "circle", 1]]
    whole = {"questions": json.dumps(rows), "answers": "\n".join(ANSWERS), "images": (0, 1)} | parts
    path = tmp_path / "data.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("questions", whole["questions"])
        archive.writestr("answers", whole["answers"])
        for number in whole["images"]:
            archive.writestr(f"images/{number}.png", whole.get("picture", b"picture"))
    members = {part: part for part in ("questions", "answers", "images")}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    source = task.source.model_copy(update={"members": members, "wheel_sha256": digest})
    counts = task.rows.model_copy(update={"available": 2, "planned": 2})
    return task.model_copy(update={"source": source, "rows": counts}), path


def test_a_picture_that_is_none_costs_its_item_alone(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two items the first one's picture is damaged; the worker goes on to the second."""
    mine, wheel = changed(task, tmp_path, picture=PNG)
    first, second = visual_questions.items(mine, wheel, None)
    damaged = dataclasses.replace(first, images=(PNG[:60],))
    monkeypatch.setattr(visual_questions, "items", lambda *_: [damaged, second])
    monkeypatch.setattr(tasks, "load", lambda: {"mine": mine})
    told: list[dict[str, Any]] = []
    channel = SimpleNamespace(send=lambda kind, **content: told.append({"event": kind, **content}))
    request = Request(
        "", runtime="fakes:Honest", artifact="", settings=Settings("cpu", 1, 64, {}), task="mine"
    )
    (answer,) = measure(request, channel)  # type: ignore[arg-type]
    assert ItemData.model_validate(answer).item == second.id
    assert [one["event"] for one in told] == ["applied", "item", "refused", "item", "alive"]
    assert f"image 1 of {first.id}" in told[2]["detail"]


def test_data_of_one_s_own_are_read(task: Task, tmp_path: Path) -> None:
    first, second = visual_questions.items(*changed(task, tmp_path), None)
    assert {first.images, second.images} == {(b"picture",)}
    assert dataclasses.replace(first, images=(b"other",)).digest() != first.digest()


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"questions": "[]"}, "0 rows, not 2"),
        ({"questions": '[["a", "yes"], ["b", "no"]]'}, "."),
        ({"questions": "[1, 2]"}, "unknown shape"),
        ({"questions": "{"}, "data.whl"),
        ({"answers": "no\nyes"}, "an answer that is not in the list"),
        ({"images": (0,)}, "images/1.png"),
    ],
    ids=str,
)
def test_data_of_another_shape_are_refused(
    parts: dict[str, Any], reason: str, task: Task, tmp_path: Path
) -> None:
    with pytest.raises(BadFile, match=reason):
        visual_questions.items(*changed(task, tmp_path, **parts), None)
