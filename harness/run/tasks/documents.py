"""The task kind "documents": questions on made pages, each put under every degradation.

The pages are those of made_documents, drawn from the task's seed, and equally many of each kind. A
row is a question under one condition; the 31 conditions of a question stand together in the task's
order. Questions on one page share a group.

An answer is worth its ANLS, as in DocVQA, once a full stop at its end is off. Beside it stands
OCRBench's rule, by which an answer that contains an accepted one is right.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Score, ask_once, graded, wheel_data
from harness.run.tasks.scorers import anls, containment

VERSION = 1
PICTURES = True

OUTCOMES = {
    "empty": "nothing was said",
    "wrong_answer": "an answer whose ANLS is 0",
    "near": "an answer whose ANLS is between 0 and 1",
    "right": "an accepted answer, but for case, white space and a full stop at its end",
}

ask = ask_once

_PLACE = "{{ question }}"
_DETAIL_CHARS = 200


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned; `data` is not read.

    Raises BadFile for a prompt without its place or rows that are no whole pages, UserError for too
    high a limit.
    """
    from harness.run.tasks import degradations  # numpy and Pillow, for who makes pictures only
    from harness.run.tasks.made_documents import DOCUMENTS, QUESTIONS

    number = wheel_data.count(task, limit)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    of_one_each = len(DOCUMENTS) * QUESTIONS * len(degradations.CONDITIONS)
    each, left = divmod(task.rows.available, of_one_each)
    if left:
        raise BadFile(f"task {task.name}: rows.available must be a multiple of {of_one_each}")
    return list(islice(degradations.under_each(_questions(task, each), task.rows.seed), number))


def _questions(task: Task, each: int) -> Iterator[Item]:
    """Of so many pages of each kind all questions, in the task's order."""
    from harness.run.tasks.made_documents import DOCUMENTS, QUESTIONS, Document

    pages: dict[str, tuple[Document, bytes]] = {}
    names = [f"{kind}-{at:03}" for kind in DOCUMENTS for at in range(each)]
    for id_ in task.rows.order([f"{name}-{at}" for name in names for at in range(QUESTIONS)]):
        name, _, at = id_.rpartition("-")
        if name not in pages:
            document = DOCUMENTS[name.partition("-")[0]](random.Random(f"{task.rows.seed}:{name}"))
            file = io.BytesIO()
            document.image.save(file, "BMP")
            pages[name] = document, file.getvalue()
        document, picture = pages[name]
        question = document.questions[int(at)]
        text = task.prompt.replace(_PLACE, question.text)
        yield Item(
            id_,
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}],
            {"answers": list(question.answers), "type": question.type},
            images=(picture,),
            group=name,
        )


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it."""
    said, answers = output.strip().removesuffix(".").rstrip(), item.payload["answers"]
    others = {"containment": containment.canonical(output, answers)}
    if not said:
        return Score("empty", False, "", others)
    worth = anls.canonical(said, answers)
    detail = "" if worth == 1 else f"{said[:_DETAIL_CHARS]!r} instead of {answers[0]!r}"
    return graded(worth, ("wrong_answer", "near", "right"), detail, others)
