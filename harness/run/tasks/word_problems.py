"""The task kind "word_problems": a question in words, an answer that ends in a number.

As lm-eval's gsm8k with its chat template and examples as a conversation: the same text for each
question, the same stop, the same two ways to find the number. The examples are the first rows of
their file, where lm-eval draws some. Members of the task's source: `questions` and, where there
are `shots`, `examples`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.ask.task_options import WordProblems
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Respondent, Score, rows, wheel_data
from harness.run.tasks.scorers import final_number

VERSION = 1

OUTCOMES = {
    "no_number": "no number where the extraction looks for it",
    "wrong_number": "another number than the data set's",
    "right": "the data set's number",
}

_PLACE = "{{ question }}"
_STOP = ("Question:",)
_FINDERS = {"strict": final_number.strict, "flexible": final_number.flexible}
_SCORERS = {
    "strict": final_number.canonical_strict,
    "flexible": final_number.canonical_flexible,
}
_DETAIL_CHARS = 200


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    A row's id is its number in the file. Raises BadFile, naming the row, for one of another shape.
    """
    number, asked = wheel_data.count(task, limit), _options(task)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    questions = rows.read(task, data, "questions")
    if len(questions) != task.rows.available:
        raise BadFile(f"task {task.name}: {len(questions)} rows, not {task.rows.available}")
    known = {f"{at:05}": row for at, row in enumerate(questions)}
    before = _examples(task, asked, data)
    found = []
    for id_ in task.rows.order(list(known))[:number]:
        question, answer = _read(asked, known[id_], f"task {task.name}, row {id_}")
        messages = [*before, {"role": "user", "content": _put(task, question)}]
        found.append(Item(id_, messages, {"answer": answer, "extraction": asked.extraction}))
    return found


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    return respondent.answer(item.messages, task.max_new_tokens, stop=_STOP)


def score(item: Item, output: str) -> Score:
    """By the task's extraction; `detail` tells what the other one would have said."""
    extraction, answer = item.payload["extraction"], item.payload["answer"]
    (other,) = _SCORERS.keys() - {extraction}
    right = {name: bool(rule(output, [answer])) for name, rule in _SCORERS.items()}
    found = _FINDERS[extraction](output)
    detail = f"{found}; {other}: {'right' if right[other] else 'wrong'}"[:_DETAIL_CHARS]
    if found is None:
        return Score("no_number", False, detail)
    outcome = "right" if right[extraction] else "wrong_number"
    return Score(outcome, right[extraction], detail)


def _examples(task: Task, asked: WordProblems, data: Path) -> list[dict[str, Any]]:
    if not asked.shots:
        return []
    solved = rows.read(task, data, "examples")[: asked.shots]
    if len(solved) < asked.shots:
        raise BadFile(f"task {task.name}: fewer than {asked.shots} examples")
    found = []
    for at, row in enumerate(solved):
        question, answer = _read(asked, row, f"task {task.name}, example {at}")
        found.append({"role": "user", "content": _put(task, question)})
        found.append({"role": "assistant", "content": answer})
    return found


def _read(asked: WordProblems, row: dict[str, Any], where: str) -> tuple[str, str]:
    question, answer = (rows.column(row, name, where) for name in (asked.question, asked.answer))
    if not (isinstance(question, str) and isinstance(answer, str) and question and answer):
        raise BadFile(f"{where}: question and answer must be texts")
    return question, answer


def _put(task: Task, question: str) -> str:
    return task.prompt.replace(_PLACE, question)


def _options(task: Task) -> WordProblems:
    if not isinstance(task.options, WordProblems):
        raise TypeError(f"task {task.name} has no word problems")
    return task.options
