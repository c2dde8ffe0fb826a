"""The task kind "code": a Python function to complete, and tests that it has to pass.

The data are HumanEval's: the one member of the task's source is `problems`. One greedy answer each
(pass@1). What the model wrote runs in `harness.run.sandbox`, or the task does not run. An answer
may give the whole function, which then replaces the stub, or what follows on it; of several blocks
of code the first counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run import sandbox
from harness.run.tasks import Item, Score, ask_once, rows, wheel_data

VERSION = 1

OUTCOMES = {
    "no_code": "nothing was said, or an empty block of code",
    "failed": "the program stops with an error, fails a test, or does not end in time",
    "passed": "every test passes",
}

ask = ask_once
check_machine = sandbox.check

_PLACE = "{{ code }}"
_BLOCK = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_COLUMNS = ("task_id", "prompt", "entry_point", "test")
_DETAIL_CHARS = 200


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises BadFile for rows of another shape.
    """
    number = wheel_data.count(task, limit)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    found: dict[str, Item] = {}
    for at, row in enumerate(rows.read(task, data, "problems")):
        item = _item(task, row, f"task {task.name}, row {at}")
        if item.id in found:
            raise BadFile(f"task {task.name}, row {at}: a second {item.id}")
        found[item.id] = item
    if len(found) != task.rows.available:
        raise BadFile(f"task {task.name}: {len(found)} rows, not {task.rows.available}")
    return [found[id_] for id_ in task.rows.order(list(found))[:number]]


def score(item: Item, output: str) -> Score:
    """Runs the tests in the sandbox. Raises MissingError without one, and for nothing else."""
    code = _code(output)
    if not code.strip():
        return Score("no_code", False, "")
    ended = sandbox.run(program(item.payload, code))
    return Score("passed" if ended.passed else "failed", ended.passed, ended.reason[:_DETAIL_CHARS])


def program(payload: dict[str, Any], code: str) -> str:
    """What is run: the stub, the model's code, the tests."""
    name = payload["entry_point"]
    if re.search(rf"^def {re.escape(name)}\b", code, re.MULTILINE):
        code = f"\n    pass\n\n{code}"  # the stub stays, for the imports and helpers before it
    return f"{payload['prompt']}{code}\n\n{payload['test']}\n\ncheck({name})\n"


def _code(output: str) -> str:
    block = _BLOCK.search(output)
    return block[1] if block else output


def _item(task: Task, row: dict[str, Any], where: str) -> Item:
    id_, prompt, name, test = (rows.column(row, one, where) for one in _COLUMNS)
    if not all(isinstance(one, str) and one for one in (id_, prompt, name, test)):
        raise BadFile(f"{where}: {', '.join(_COLUMNS)} must be texts")
    if not name.isidentifier():
        raise BadFile(f"{where}: {name!r} is no name of a function")
    text = task.prompt.replace(_PLACE, prompt)
    payload = {"prompt": prompt, "entry_point": name, "test": test}
    return Item(id_, [{"role": "user", "content": text}], payload)
