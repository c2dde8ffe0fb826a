"""The task kind "multiple_choice": a question and some options, one of which is right.

Scored by the likelihood of what would follow the question, as lm-eval does it: of the options'
letters (MMLU) or of their texts (ARC), which may be divided by their length in characters
(acc_norm). Or by the letter that the model writes ("written"). Members of the task's source:
`questions` and, where there are `shots`, `examples`.

In the prompt stand {{ question }}, {{ options }} (one a line, with letters) and, in the preamble,
{{ subject }}. Items of one subject are asked in a row, so that their examples are computed once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.ask.task_options import MultipleChoice
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Respondent, Score, rows, wheel_data
from harness.run.tasks.scorers import choice_letter

VERSION = 1

OUTCOMES = {
    "no_letter": "what the model wrote settles on no option",
    "wrong_answer": "another option",
    "right": "the right option",
}

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned, by subject.

    A row's id is its number in the file. Raises BadFile, naming the row, for one of another shape.
    """
    number, asked = wheel_data.count(task, limit), _options(task)
    questions = rows.read(task, data, "questions")
    if len(questions) != task.rows.available:
        raise BadFile(f"task {task.name}: {len(questions)} rows, not {task.rows.available}")
    known = {f"{at:05}": row for at, row in enumerate(questions)}
    examples = rows.read(task, data, "examples") if asked.shots else []
    shots = _shots(task, asked, examples)
    found = []
    for id_ in task.rows.order(list(known))[:number]:
        one = _Question(task, asked, known[id_], f"task {task.name}, row {id_}")
        if asked.shots and len(shots.get(one.subject, [])) < asked.shots:
            raise BadFile(f"{one.where}: fewer than {asked.shots} examples of its subject")
        before = "\n\n".join(shots.get(one.subject, [])[: asked.shots])
        found.append((one.subject, one.item(id_, before)))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def weighs(task: Task) -> bool:
    return _options(task).scored != "written"


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    """Log-likelihoods of the options as a JSON list, or what the model writes."""
    if _options(task).scored == "written":
        return respondent.answer(item.messages, task.max_new_tokens)
    context = item.messages[0]["content"]
    return json.dumps(respondent.likelihoods(context, item.payload["options"]))


def score(item: Item, output: str) -> Score:
    """The likeliest option, of equals the first; or the letter that was written."""
    payload = item.payload
    if payload["scored"] == "written":
        letter = choice_letter.letter(output)
        if letter is None or letter not in LETTERS[: payload["count"]]:
            return Score("no_letter", False, "")
        return _score(LETTERS.index(letter), payload["answer"])
    found: list[float] = json.loads(output)
    if payload["normalised"]:
        found = [one / max(1, size) for one, size in zip(found, payload["lengths"], strict=True)]
    return _score(max(range(len(found)), key=lambda at: (found[at], -at)), payload["answer"])


def _score(chosen: int, right: int) -> Score:
    if chosen == right:
        return Score("right", True, LETTERS[chosen])
    return Score("wrong_answer", False, f"{LETTERS[chosen]} instead of {LETTERS[right]}")


class _Question:
    """One row, read and checked."""

    def __init__(self, task: Task, asked: MultipleChoice, row: dict[str, Any], where: str) -> None:
        self.where, self._asked, self._prompt = where, asked, task.prompt
        self.subject = str(rows.column(row, asked.subject, where)) if asked.subject else ""
        self._question = str(rows.column(row, asked.question, where))
        choices = rows.column(row, asked.choices, where)
        if not isinstance(choices, list) or not 2 <= len(choices) <= len(LETTERS):
            raise BadFile(f"{where}: {asked.choices} is no list of 2 to {len(LETTERS)} options")
        self.choices = [str(choice) for choice in choices]
        labels = rows.column(row, asked.labels, where) if asked.labels else None
        self.answer = _index(rows.column(row, asked.answer, where), len(choices), labels, where)

    def text(self) -> str:
        """The prompt without preamble and examples; ends where the answer goes."""
        lines = [f"{LETTERS[at]}. {choice}" for at, choice in enumerate(self.choices)]
        text = self._prompt.replace("{{ options }}", "\n".join(lines))
        return text.replace("{{ question }}", self._question.strip())

    def continuations(self) -> list[str]:
        texts = self._asked.scored == "texts"
        return [f" {one}" for one in (self.choices if texts else LETTERS[: len(self.choices)])]

    def solved(self) -> str:
        return self.text() + self.continuations()[self.answer]

    def item(self, id_: str, examples: str) -> Item:
        words = self.subject.replace("_", " ")
        preamble = self._asked.preamble.replace("{{ subject }}", words)
        text = "\n\n".join(part for part in (preamble, examples, self.text()) if part)
        payload = {
            "scored": self._asked.scored,
            "normalised": self._asked.normalised,
            "answer": self.answer,
            "count": len(self.choices),
            "options": self.continuations(),
            "lengths": [len(one) - 1 for one in self.continuations()],
        }
        return Item(id_, [{"role": "user", "content": text}], payload)


def _shots(
    task: Task, asked: MultipleChoice, examples: Sequence[dict[str, Any]]
) -> dict[str, list[str]]:
    """Solved examples by subject, in the file's order."""
    found: dict[str, list[str]] = {}
    for at, row in enumerate(examples):
        one = _Question(task, asked, row, f"task {task.name}, example {at}")
        found.setdefault(one.subject, []).append(one.solved())
    return found


def _index(answer: Any, count: int, labels: Any, where: str) -> int:
    """The right option's place: among the labels, or by an index, a letter or a digit from 1."""
    if isinstance(labels, list):
        at = labels.index(answer) if answer in labels else -1
    elif isinstance(answer, int) and not isinstance(answer, bool):
        at = answer
    else:
        text = str(answer).strip().upper()
        at = int(text) - 1 if text.isdecimal() else LETTERS.find(text) if len(text) == 1 else -1
    if not 0 <= at < count:
        raise BadFile(f"{where}: the answer {answer!r} is none of {count} options")
    return at


def _options(task: Task) -> MultipleChoice:
    if not isinstance(task.options, MultipleChoice):
        raise TypeError(f"task {task.name} is not multiple choice")
    return task.options
