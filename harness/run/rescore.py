"""Scores the stored answers of a run again, by the rules of now. Needs the data and no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.ask.tasks import Task
from harness.errors import UserError
from harness.run.records import ItemData, Sample
from harness.run.tasks import Score, kind


def rescored(task: Task, data: Path, samples: Sequence[Sample]) -> list[tuple[ItemData, Score]]:
    """Each answered item with its score now. Raises UserError if it was asked something else.

    `samples` are all of a run, and `task` is as its model was asked. An item's digest covers what
    its scorer knows, so equal digests leave only the rule to differ.
    """
    answered = [sample.data for sample in samples if isinstance(sample.data, ItemData)]
    task_kind = kind(task.kind)
    # A run takes the first rows of the task's order, each a sample: no more pictures are read.
    number = min(len(samples), task.rows.available)
    items = {item.id: item for item in task_kind.items(task, data, number)} if number else {}
    found = []
    for one in answered:
        item = items.get(one.item)
        if item is None or item.digest() != one.item_sha256:
            raise UserError(f"{one.item}: the task {task.name} asks something else by now")
        found.append((one, task_kind.score(item, one.output)))
    return found
