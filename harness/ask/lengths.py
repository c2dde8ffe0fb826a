"""Tasks that ask the same at several lengths of text, and the lengths that a context holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt, field_validator

from harness.ask.yaml_file import Row
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.ask.tasks import Task


class LongContext(Row):
    """Which facts are hidden in the text, and how long prompt and answer are together, in tokens.

    The task's rows are as many questions at each length.
    """

    kind: Literal["long_context"]
    made: Literal["needle", "multi_key", "variable_tracking", "multi_hop"]
    lengths: list[PositiveInt] = Field(min_length=1)

    @field_validator("lengths")
    @classmethod
    def _rise(cls, lengths: list[int]) -> list[int]:
        if lengths != sorted(set(lengths)):
            raise ValueError("lengths must rise")
        return lengths


def within(task: Task, context: int) -> Task:
    """The task without the lengths that a context of so many tokens does not hold.

    The others keep their items; a task without lengths is as it is. Raises UserError where none
    fits.
    """
    if not isinstance(task.options, LongContext):
        return task
    every, rows = task.options.lengths, task.rows
    lengths = [one for one in every if one <= context]
    if not lengths:
        told = f"the shortest text takes {every[0]} tokens, the context is {context}"
        raise UserError(f"{task.name}: {told}")
    available = rows.available // len(every) * len(lengths)
    changes = {"available": available, "planned": min(rows.planned, available)}
    return task.model_copy(
        update={
            "options": task.options.model_copy(update={"lengths": lengths}),
            "rows": rows.model_copy(update=changes),
        }
    )
