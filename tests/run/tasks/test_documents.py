"""The made pages: the same from the same seed, legible, and every answer stands on its page."""

from __future__ import annotations

import hashlib
import random
from itertools import combinations
from pathlib import Path

import pytest

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.images import decode
from harness.run.tasks import Item, documents
from harness.run.tasks.made_documents import DOCUMENTS, HEIGHT, QUESTIONS, WIDTH, Document

KINDS = pytest.mark.parametrize("kind", DOCUMENTS)
# The first page of each kind, with Pillow 13.0.0 on x86-64: what this project was built with.
DIGESTS = {
    "receipt": "07b092b1a5fd1591",
    "invoice": "2c4155e9e3d804b2",
    "form": "0f4ac60cec60370a",
    "table": "e084892c0437cf16",
    "chart": "0495e20a07164edc",
}


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load()["documents_degraded"]


def pages(kind: str) -> list[Document]:
    return [DOCUMENTS[kind](random.Random(f"1:{kind}-{at:03}")) for at in range(8)]


def test_same_pages_from_the_same_seed() -> None:
    first = {kind: pages(kind)[0] for kind in DOCUMENTS}
    assert first == {kind: pages(kind)[0] for kind in DOCUMENTS}
    digests = {
        kind: hashlib.sha256(page.image.tobytes()).hexdigest()[:16] for kind, page in first.items()
    }
    assert digests == DIGESTS


@KINDS
def test_every_answer_stands_on_its_page(kind: str) -> None:
    for page in pages(kind):
        written = [text for text, _ in page.texts]
        for question in page.questions:
            assert question.answers[0] in written, question
            assert all(any(one in text for text in written) for one in question.answers)


@KINDS
def test_a_question_names_one_place(kind: str) -> None:
    """What it quotes of the page stands there once, and no two questions of a page are the same."""
    for page in pages(kind):
        written = [text for text, _ in page.texts]
        assert len({question.text for question in page.questions}) == QUESTIONS
        for question in page.questions:
            for quoted in question.text.split("'")[1::2]:
                assert written.count(quoted) == 1


@KINDS
def test_every_text_is_on_the_page_and_apart_from_the_others(kind: str) -> None:
    for page in pages(kind):
        assert page.image.size == (WIDTH, HEIGHT)
        for _, (left, top, right, bottom) in page.texts:
            assert left >= 8 and top >= 8 and right <= WIDTH - 8 and bottom <= HEIGHT - 8
        for (one, a), (other, b) in combinations(page.texts, 2):
            beside = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert beside, (one, other)


@KINDS
def test_what_is_written_is_drawn(kind: str) -> None:
    page = pages(kind)[0]
    for text, box in page.texts:
        darkest, _ = page.image.crop(tuple(map(int, box))).getextrema()
        assert darkest < 80, text


def test_the_highest_bar_is_the_one_with_the_greatest_number() -> None:
    for page in pages("chart"):
        written = [text for text, _ in page.texts][1:]
        values = dict(zip(written[1::2], map(int, written[::2]), strict=True))
        answers = {question.text: question.answers[0] for question in page.questions}
        assert answers["Which bar is the highest?"] == max(values, key=values.__getitem__)
        assert answers["Which bar is the lowest?"] == min(values, key=values.__getitem__)
        for name, value in values.items():
            assert answers.get(f"What is the value of the bar '{name}'?", str(value)) == str(value)


def test_a_total_is_the_sum_of_its_parts() -> None:
    for page in pages("receipt"):
        amounts = [round(float(text[1:]) * 100) for text, _ in page.texts if text.startswith("$")]
        assert amounts[-1] == sum(amounts[:-1])


def test_the_task_asks_all_pages_under_all_conditions(task: Task) -> None:
    items = documents.items(task, Path(), 31 * 8)
    assert items[:31] == documents.items(task, Path(), 31)
    assert {decode(item.images[0], item.id).shape for item in items if "skew" not in item.id} == {
        (HEIGHT, WIDTH, 3)
    }
    assert {item.group for item in items} == {item.id.rsplit("-", 3)[0] for item in items}
    assert task.rows.available == 5 * 8 * QUESTIONS * 31
    text = items[0].messages[0]["content"][1]["text"]
    assert text.endswith("?\nAnswer the question using a single word or phrase.")


def test_rows_that_are_no_whole_pages_are_refused(task: Task) -> None:
    rows = task.rows.model_copy(update={"available": 4961})
    with pytest.raises(BadFile, match="multiple of 620"):
        documents.items(task.model_copy(update={"rows": rows}), Path(), 1)
    with pytest.raises(BadFile, match="the prompt must hold"):
        documents.items(task.model_copy(update={"prompt": "Look."}), Path(), 1)


TOTAL = Item("1", [], {"answers": ["$124.32", "124.32"], "type": "amount"})


@pytest.mark.parametrize(
    ("outcome", "worth", "contained", "output"),
    [
        ("right", 1, True, "$124.32"),
        ("right", 1, True, " 124.32.\n"),
        ("near", 1 - 1 / 7, False, "$124.33"),
        ("near", 1 - 4 / 11, True, "$124.32 USD"),
        ("wrong_answer", 0, True, "The total of this receipt is $124.32"),
        ("wrong_answer", 0, False, "a receipt"),
        ("wrong_answer", 0, False, "\x00" * 5000),
        ("empty", 0, False, ""),
        ("empty", 0, False, " .\n"),
    ],
)
def test_an_answer_is_worth_its_anls(
    outcome: str, worth: float, contained: bool, output: str
) -> None:
    score = documents.score(TOTAL, output)
    assert (score.outcome, score.correct) == (outcome, outcome == "right")
    assert score.value == pytest.approx(worth)
    assert score.by_other_rules == {"containment": contained}
    assert outcome in documents.OUTCOMES
    assert len(score.detail) <= 1000
