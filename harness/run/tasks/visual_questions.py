"""The task kind "visual_questions": one picture, one question, a short answer.

The data are a table of a hub, the member `questions`, whose columns the options name: answers are
scored by the rule that they name, too. Or they are laid out as easy-VQA's: `members` names
`questions` (a JSON list of question, answer and number of the picture), `images` (the folder of
<number>.png) and `answers` (all that there are, one a line), and an answer is compared as it
stands. The prompt is the task's own; the picture stands before it.

Questions about one picture share a group: they stand or fall together.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile
from harness.prepare.data import files_of
from harness.run.tasks import Item, Score, ask_once, graded, picture_questions, scorers, wheel_data

VERSION = 1
PICTURES = True

OUTCOMES = {
    "empty": "nothing was said",
    "not_an_answer": "none of the data set's answers, or more than one",
    "wrong_answer": "another one of the data set's answers, or worth nothing to the task's rule",
    "partly_right": "worth a part to the task's rule",
    "right": "the data set's answer to this question, or worth 1 to the task's rule",
}
_GRADES = ("wrong_answer", "partly_right", "right")

ask = ask_once

_PLACE = "{{ question }}"
_PARTS = {"questions", "images", "answers"}
_DETAIL_CHARS = 200


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises BadFile if the data are other ones or have rows of another shape, naming the row,
    UserError for a limit that they cannot meet.
    """
    number = wheel_data.count(task, limit)
    if isinstance(task.source, HubRows):
        return picture_questions.items(task, files_of(task.source, data, "questions"), number)
    return list(islice(questions(task, data, task.rows.available), number))


def questions(task: Task, wheel: Path, rows: int | None = None) -> Iterator[Item]:
    """All of the wheel's rows in the task's order, each read when it is reached.

    Raises BadFile as `items` does, and where there are other than so many `rows`.
    """
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    if set(task.source.members) != _PARTS:
        raise BadFile(f"task {task.name}: members must be {', '.join(sorted(_PARTS))}")
    with wheel_data.opened(task, wheel) as archive:
        try:
            yield from _questions(task, archive, rows)
        except (TypeError, IndexError) as error:
            raise wheel_data.unknown_shape(task, error) from error


def _questions(task: Task, archive: zipfile.ZipFile, wanted: int | None) -> Iterator[Item]:
    members = wheel_data.members(task)
    answers = [one.strip() for one in archive.read(members["answers"]).decode().splitlines()]
    rows = {
        f"{at:05}": row for at, row in enumerate(json.loads(archive.read(members["questions"])))
    }
    if wanted not in (None, len(rows)):
        raise BadFile(f"task {task.name}: {len(rows)} rows, not {wanted}")
    for id_ in task.rows.order(list(rows)):
        question, answer, picture = rows[id_]
        if answer not in answers:
            raise BadFile(f"task {task.name}: row {id_} has an answer that is not in the list")
        text = task.prompt.replace(_PLACE, question)
        parts = [{"type": "image"}, {"type": "text", "text": text}]
        yield Item(
            id_,
            [{"role": "user", "content": parts}],
            {"answer": answer, "answers": answers},
            images=(archive.read(f"{members['images']}/{picture}.png"),),
            group=str(picture),
        )


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it: by the item's rule, or by exact match.

    That compares without regard to case, to white space around an answer and to one full stop at
    its end.
    """
    if "scorer" in item.payload:
        return _by_rule(item.payload, output)
    said = _canonical(output)
    answer = item.payload["answer"]
    if not said:
        return Score("empty", False, "")
    if said not in map(_canonical, item.payload["answers"]):
        return Score("not_an_answer", False, _short(f"{said!r}"))
    if said != _canonical(answer):
        return Score("wrong_answer", False, f"{said!r} instead of {answer!r}")
    return Score("right", True, "")


def _by_rule(payload: dict[str, Any], output: str) -> Score:
    worth = scorers.under_all(payload["scorer"], output, payload["answers"])
    value = worth.pop(scorers.CANONICAL)
    if not output.strip() and not value:
        return Score("empty", False, "", worth)
    detail = (
        "" if value == 1 else _short(f"{output.strip()!r} instead of {payload['answers'][0]!r}")
    )
    return graded(value, _GRADES, detail, worth)


def _canonical(text: str) -> str:
    return text.strip().removesuffix(".").rstrip().casefold()


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL_CHARS else text[: _DETAIL_CHARS - 2] + ".."
