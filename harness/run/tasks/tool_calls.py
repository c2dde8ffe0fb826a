"""The task kind "tool_calls": one question, some functions, the right calls (or no call).

The data are BFCL's single-turn files: `members` of the task names `questions` and, where its option
`expects` is "answers", `answers`. The prompt is the task's own, so a score is comparable between
runs of the same task, and not with BFCL's leaderboard.

Not scored here: conversations whose calls are answered. Six of the 2,501 rows with an answer key
can't be answered rightly under the rule that the key was written for; a test names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.ask.task_options import ToolCalls
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import (
    Item,
    Score,
    ask_once,
    bfcl_ast,
    bfcl_rows,
    call_scores,
    tool_call_parsers,
    wheel_data,
)
from harness.run.tasks.tool_call_parsers import Call

VERSION = 2

OUTCOMES = {
    "unparseable": "a call was attempted, but it cannot be read; not counted as a wrong argument",
    "invented_tool": "some call names a function that was not offered",
    "spurious_call": "a call where none was right, or more calls than were right",
    "missing_call": (
        "no call where one was right, fewer calls than were right, or a call of an offered "
        "function that was not it"
    ),
    "invented_argument": "the right functions, with an argument that one of them does not have",
    "wrong_argument": (
        "the right functions and only their own arguments, but one has a wrong value or a wrong "
        "type, or one that must be given is missing"
    ),
    "exact": (
        "the right calls in any order, values compared by BFCL's rule, but for strings that are "
        "numbers; where the data name no right call, calls that the offered functions would take"
    ),
    "clean_abstention": "no call and no attempt at one, where none was right",
}
"""In order of precedence: an answer has the first outcome that applies to it."""

ask = ask_once

CORRECT = ("exact", "clean_abstention")
_PLACE = "{{ tools }}"
_DETAIL_CHARS = 200


def items(task: Task, wheel: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises BadFile if the wheel is another one or holds rows of another shape, UserError for a limit
    that the data cannot meet.
    """
    count = wheel_data.count(task, limit)
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    tool_call_parsers.find(_options(task).parser)
    parts = _read(task, wheel)
    try:
        questions = {row["id"]: row for row in parts["questions"]}
        answers = {row["id"]: row["ground_truth"] for row in parts.get("answers", [])}
        blank: list[Any] | None = None if _options(task).expects == "some_call" else []
        if len(questions) != task.rows.available:
            raise BadFile(f"task {task.name}: {len(questions)} rows, not {task.rows.available}")
        chosen = task.rows.order(list(questions))[:count]
        expected = answers if "answers" in parts else dict.fromkeys(chosen, blank)
        return [_item(task, questions[id_], expected[id_]) for id_ in chosen]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise wheel_data.unknown_shape(task, error) from error


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it, and BFCL's verdict on it.

    Function names must match to the letter: math_hypot for math.hypot is an invented tool. Text
    that calls an offered function some other way, name(..), is an attempt, so it is unparseable and
    never an abstention; defining one, def name(..), is not.
    """
    payload = item.payload
    parsed = tool_call_parsers.find(payload["parser"])(output)
    functions, expected = payload["functions"], payload["expected"]
    outcome, detail = call_scores.outcome(
        parsed, output, functions, expected, _faults(payload, "canonical")
    )
    bfcl = call_scores.bfcl_finds_right(parsed, expected, _faults(payload, "bfcl"))
    return Score(outcome, outcome in CORRECT, shortened(detail), {"bfcl": bfcl})


def shortened(detail: str) -> str:
    """A detail that a table can hold, whatever the model wrote."""
    return detail if len(detail) <= _DETAIL_CHARS else detail[: _DETAIL_CHARS - 2] + ".."


def _faults(payload: dict[str, Any], rule: bfcl_ast.Rule) -> call_scores.FaultFinder:
    offered = {function["name"]: function for function in payload["functions"]}
    language = payload.get("language", "python")

    def fault(call: Call, entry: Mapping[str, Any]) -> bfcl_ast.Fault | None:
        ((name, answers),) = entry.items()
        return bfcl_ast.check(offered[name], answers, call.arguments, language, rule)

    return fault


def _read(task: Task, wheel: Path) -> dict[str, list[Any]]:
    """The rows of each part. The wheel is read once: what is checked is what is used."""
    parts = wheel_data.members(task)
    wanted = {"questions", "answers"} if _options(task).expects == "answers" else {"questions"}
    if parts.keys() != wanted:
        raise BadFile(f"task {task.name}: members must be {' and '.join(sorted(wanted))}")
    with wheel_data.opened(task, wheel) as archive:
        return {part: bfcl_rows.lines(archive.read(member)) for part, member in parts.items()}


def _options(task: Task) -> ToolCalls:
    if not isinstance(task.options, ToolCalls):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    return task.options


def _item(task: Task, row: dict[str, Any], expected: list[dict[str, Any]] | None) -> Item:
    functions, language = row["function"], _options(task).language
    known = all(bfcl_rows.checkable(one, language) for one in functions) if expected else True
    if not known or len(row["question"]) != 1 or (expected and not functions):
        raise BadFile(f"task {task.name}: row {row['id']} is not of a kind that is scored here")
    # json.dumps with its defaults, as the prompt's makers fill it in.
    shown = json.dumps(bfcl_rows.tools(functions, language))
    messages = bfcl_rows.messages(task.prompt.replace(_PLACE, shown), row["question"][0])
    payload = {"functions": functions, "expected": expected, "parser": _options(task).parser}
    if language != "python":  # others keep the digests that stored records have
        payload["language"] = language
    return Item(row["id"], messages, payload)
