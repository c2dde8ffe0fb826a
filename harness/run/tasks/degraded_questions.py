"""The task kind "degraded_questions": visual_questions, each put under every degradation.

The data, the prompt and the scoring are those of visual_questions. A row is a question under one
condition, and the 31 conditions of a question (clean, then six degradations at five severities)
stand together in the task's order, so that any number of whole questions is paired by picture.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from harness.ask.task_options import DegradedQuestions
from harness.ask.tasks import Task
from harness.run.tasks import Item, ask_once, visual_questions, wheel_data

VERSION = 1
PICTURES = True

OUTCOMES = visual_questions.OUTCOMES

ask = ask_once
score = visual_questions.score


def items(task: Task, wheel: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises what visual_questions does.
    """
    from harness.run.tasks import degradations  # numpy and Pillow, for who makes pictures only

    number = wheel_data.count(task, limit)
    if not isinstance(task.options, DegradedQuestions):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    without = task.options.without
    asked = (
        one
        for one in visual_questions.questions(task, wheel)
        if one.payload["answer"] not in without
    )
    return list(islice(degradations.under_each(asked, task.rows.seed), number))
