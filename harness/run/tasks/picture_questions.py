"""Questions about pictures out of the rows of a hub's table: what is asked, what is accepted.

Every complaint about a row names its file and its place there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.ask.task_options import Columns, VisualQuestions
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, picture_tables, scorers
from harness.run.tasks.picture_tables import TableRow

_PLACE, _OPTIONS = "{{ question }}", "{{ options }}"
_LETTERS = "ABCD"


def items(task: Task, files: Mapping[str, Path], number: int) -> list[Item]:
    """The first `number` rows in the task's order. Raises BadFile."""
    options = task.options
    if not isinstance(options, VisualQuestions) or not options.columns or not options.scorer:
        raise BadFile(f"task {task.name}: a table needs options.columns and options.scorer")
    columns = options.columns
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    if (_OPTIONS in task.prompt) != (columns.choices is not None):
        raise BadFile(f"task {task.name}: {_OPTIONS} in the prompt and columns.choices go together")
    table = picture_tables.texts(files, _texts(options), columns.image)
    if len(table) != task.rows.available:
        raise BadFile(f"task {task.name}: {len(table)} rows, not {task.rows.available}")
    known = _by_id(table, columns.id)
    asked = {id_: known[id_] for id_ in task.rows.order(list(known))[:number]}
    questions = {id_: _Question(row, columns) for id_, row in asked.items()}
    pictures = picture_tables.pictures(files, columns.image, list(asked.values()))
    return [
        _item(id_, task.prompt, one, _scorer(one.row, options), pictures[one.row.file, one.row.at])
        for id_, one in questions.items()
    ]


def _item(id_: str, prompt: str, one: _Question, scorer: str, picture: bytes) -> Item:
    text = prompt.replace(_OPTIONS, one.options).replace(_PLACE, one.question)
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    return Item(
        id_,
        [{"role": "user", "content": parts}],
        {"answers": one.answers, "scorer": scorer},
        images=(picture,),
        group=hashlib.sha256(picture).hexdigest()[:16],
        facets=one.facets,
    )


class _Question:
    """One row, read and checked."""

    def __init__(self, row: TableRow, columns: Columns) -> None:
        self.row, self._columns = row, columns
        question = row.texts[columns.question]
        if not isinstance(question, str) or not question.strip():
            raise BadFile(f"{row.where}: no {columns.question}")
        self.question = question.strip()
        choices = row.texts[columns.choices] if columns.choices else None
        self.options = "\n".join(map("{}. {}".format, _LETTERS, choices or ()))
        said = row.texts[columns.answers]
        self.answers = self._letter(said, choices) if columns.choices else self._accepted(said)
        self.facets = {name: str(row.texts[name]) for name in columns.facets}

    def _accepted(self, said: Any) -> list[str]:
        answers = [
            str(one) for one in (said if isinstance(said, list) else [said]) if one is not None
        ]
        if not any(one.strip() for one in answers):
            raise BadFile(f"{self.row.where}: no {self._columns.answers}")
        return answers

    def _letter(self, said: Any, choices: Any) -> list[str]:
        """Of the right choice, which the row gives as a number or its digits."""
        count, at = len(choices or ()), int(said) if str(said).isdecimal() else -1
        if not 2 <= count <= len(_LETTERS):
            raise BadFile(f"{self.row.where}: {count} {self._columns.choices}, not 2 to 4")
        if not 0 <= at < count:
            raise BadFile(f"{self.row.where}: {said!r} is the place of none of {count} choices")
        return [_LETTERS[at]]


def _texts(options: VisualQuestions) -> list[str]:
    """The columns that are read of every row, each once."""
    columns, other = options.columns or Columns(), options.other_scorers
    found = [columns.question, columns.answers, columns.choices, columns.id, *columns.facets]
    found.append(other.column if other else None)
    return list(dict.fromkeys(one for one in found if one))


def _scorer(row: TableRow, options: VisualQuestions) -> str:
    """The name of the rule for a row. Raises UnknownName."""
    other = options.other_scorers
    named = other.scorers.get(str(row.texts[other.column])) if other else None
    name = named or str(options.scorer)
    scorers.find(name)
    return name


def _by_id(table: list[TableRow], column: str | None) -> dict[str, TableRow]:
    """The rows by what tells them apart. Raises BadFile where two say the same."""
    found: dict[str, TableRow] = {}
    for at, row in enumerate(table):
        id_ = f"{at:05}" if column is None else str(row.texts[column])
        if id_ in found:
            raise BadFile(f"{row.where}: {column} {id_} is that of {found[id_].where}, too")
        found[id_] = row
    return found
