"""The task kind "multi_turn": a user's requests one after the other, met by calls on objects.

The data are BFCL's multi-turn entries: `members` of the task names `questions` and `answers`. After
each request the model calls until it says something without a call; each answer's calls are
answered by BFCL's own simulated objects (see `bfcl_objects`). `tools` says how they are shown and
how results come back: in the "prompt", and as a message of the user in the words of BFCL's
prompting mode; or by the model's "template", and as its messages of the role tool.

Right is what bfcl-eval's checker calls valid. The tools are shown without what they return, and an
answer is read strictly, so a score here is no leaderboard score.

The output is the model's answers by turn, and why the conversation ended early if it did, as JSON.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from harness.ask.task_options import MultiTurn
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.runtimes import NoRoom
from harness.run.tasks import (
    Item,
    Respondent,
    Score,
    bfcl_objects,
    bfcl_rows,
    made_calls,
    tool_call_parsers,
    tool_calls,
    wheel_data,
)
from harness.run.tasks.bfcl_objects_box import Call as Written
from harness.run.tasks.tool_call_parsers import Call

VERSION = 1

MAX_STEPS = 20
"""Answers with calls that one turn may take, as in bfcl-eval."""

OUTCOMES = {
    "cut_short": (
        f"the conversation ended early: more than {MAX_STEPS} answers with calls in one turn, no "
        "room for another answer, or calls that the objects did not answer within the limits"
    ),
    "invented_tool": "the first turn that went wrong has a call of a tool that was not offered",
    "invented_argument": ".. a call with an argument that its tool does not have",
    "unparseable": ".. an attempt at a call that cannot be read",
    "missing_call": ".. by its end some tool was called less often than is right",
    "spurious_call": ".. an object in another state, and a tool called that is in no right call",
    "wrong_argument": (
        ".. the right tools called, but an object in another state, or a result not seen that the "
        "right calls give"
    ),
    "recovered": "every turn went right, with more calls than are right",
    "exact": "every turn went right, with as many calls as are right",
}
"""In order of precedence. A turn goes right if it leaves the objects as the right calls do, and by
its end each of their results has been seen."""

CORRECT = ("recovered", "exact")
check_machine = bfcl_objects.check_machine


def items(task: Task, wheel: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned.

    Raises BadFile if the wheel is another one or holds rows of another shape, UserError for a limit
    that the data cannot meet.
    """
    count, options = wheel_data.count(task, limit), _options(task)
    made_calls.check_place(task, options.tools)
    tool_call_parsers.find(options.parser)
    members = wheel_data.members(task)
    with wheel_data.opened(task, wheel) as archive:
        try:
            questions, answers = (
                {row["id"]: row for row in bfcl_rows.lines(archive.read(members[part]))}
                for part in ("questions", "answers")
            )
            if len(questions) != task.rows.available:
                raise BadFile(f"task {task.name}: {len(questions)} rows, not {task.rows.available}")
            chosen = task.rows.order(list(questions))[:count]
            return [_item(task, archive, questions[id_], answers[id_]) for id_ in chosen]
        except (KeyError, TypeError, AttributeError, IndexError, SyntaxError) as error:
            raise wheel_data.unknown_shape(task, error) from error


def beyond_messages(task: Task) -> str | None:
    """A server wants each result under the number of its call, and here one message has all."""
    return "results of calls as one message" if _options(task).tools == "template" else None


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    """Asks on until the last request is met, or the conversation is cut short."""
    payload, by_template = item.payload, _options(task).tools == "template"
    tools = bfcl_rows.tools(payload["functions"], "python") if by_template else None
    messages, calls = list(item.messages), list[Call]()
    turns: list[list[str]] = []
    try:
        for request in ([], *payload["later"]):
            messages += request
            turns.append([])
            while len(turns[-1]) <= MAX_STEPS:
                text = respondent.answer(messages, task.max_new_tokens, tools=tools)
                turns[-1].append(text)
                messages.append({"role": "assistant", "content": text})
                made = _calls(payload, text)
                if not made:
                    break
                calls += made
                results = bfcl_objects.answers(payload, _as_data(calls))[-len(made) :]
                messages += _replies(made, results, by_template)
            else:
                return _output(turns, f"more than {MAX_STEPS} answers with calls")
    except NoRoom as error:
        if turns == [[]]:  # not even the first prompt fits: nothing was asked
            raise
        return _output(turns, str(error))
    except bfcl_objects.NoAnswer as error:
        return _output(turns, f"the objects gave no answer: {error}")
    return _output(turns, None)


def score(item: Item, output: str) -> Score:
    """The outcome of a conversation, as OUTCOMES defines it. Raises MissingError without a sandbox.

    Its calls are played again.
    """
    said, payload = json.loads(output), item.payload
    turns, all_turns = said["turns"], len(payload["right"])
    if said["cut"]:
        return _score("cut_short", f"turn {len(turns)} of {all_turns}: {said['cut']}")
    steps = [[step for text in turn if (step := _calls(payload, text))] for turn in turns]
    try:
        found = bfcl_objects.check(payload, [[_as_data(step) for step in turn] for turn in steps])
    except bfcl_objects.NoAnswer as error:
        return _score("cut_short", f"the objects gave no answer: {error}")
    calls = [[call for step in turn for call in step] for turn in steps]
    if found["turn"] is None:
        made, right = sum(map(len, calls)), sum(map(len, payload["right"]))
        return _score("recovered" if made > right else "exact", f"{made} calls for {right}")
    at = found["turn"]
    outcome, detail = _fault(payload, calls[: at + 1], turns[at], found)
    return _score(outcome, f"turn {at + 1} of {all_turns}: {detail}")


def _score(outcome: str, detail: str) -> Score:
    return Score(outcome, outcome in CORRECT, tool_calls.shortened(detail))


def _fault(
    payload: dict[str, Any], calls: list[list[Call]], texts: list[str], found: dict[str, Any]
) -> tuple[str, str]:
    """What the last of some turns did wrong, and a reason."""
    offered = {one["name"]: one["parameters"]["properties"] for one in payload["functions"]}
    for call in calls[-1]:
        if call.name not in offered:
            return "invented_tool", f"{call.name!r} was not offered"
        if unknown := call.arguments.keys() - offered[call.name].keys():
            return "invented_argument", f"{min(unknown)!r} is no argument of {call.name}"
    for text in texts:
        parsed = tool_call_parsers.find(payload["parser"])(text)
        if parsed.state == "unparseable":
            return "unparseable", parsed.problem
    made = Counter(call.name for turn in calls for call in turn)
    right = Counter(name for turn in payload["right"][: len(calls)] for name, *_ in turn)
    if left := right - made:
        return "missing_call", f"no call of {min(left)} where one is right"
    wrong = f"{found['detail'][0]}"
    if found["wrong"] == "state" and (other := made.keys() - right.keys()):
        return "spurious_call", f"{wrong} is in another state after {min(other)}"
    what = "is in another state" if found["wrong"] == "state" else "was not seen"
    return "wrong_argument", f"{wrong} {what}"


def _options(task: Task) -> MultiTurn:
    if not isinstance(task.options, MultiTurn):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    return task.options


def _item(task: Task, wheel: ZipFile, row: dict[str, Any], answer: dict[str, Any]) -> Item:
    functions = bfcl_objects.tools(wheel, row["involved_classes"])
    first, *later = row["question"]
    if len(answer["ground_truth"]) != len(row["question"]):
        raise BadFile(f"task {task.name}: row {row['id']} has turns without an answer")
    shown = json.dumps(bfcl_rows.tools(functions, "python"))
    payload = {
        "functions": functions,
        "sources": bfcl_objects.sources(wheel, row["involved_classes"]),
        "configuration": row["initial_config"],
        "later": later,
        "right": [[_written(call) for call in turn] for turn in answer["ground_truth"]],
        "parser": _options(task).parser,
    }
    messages = bfcl_rows.messages(task.prompt.replace(made_calls.PLACE, shown), first)
    return Item(row["id"], messages, payload, facets={"requests": str(1 + len(later))})


def _written(text: str) -> Written:
    """A call of the answer key, which is written in Python and has literals alone as arguments."""
    call = ast.parse(text, mode="eval").body
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise SyntaxError(f"{text!r} is no call")
    named = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    return [call.func.id, [ast.literal_eval(one) for one in call.args], named]


def _calls(payload: dict[str, Any], text: str) -> Sequence[Call]:
    return tool_call_parsers.find(payload["parser"])(text).calls


def _as_data(calls: Sequence[Call]) -> list[Written]:
    return [[call.name, [], call.arguments] for call in calls]


def _replies(
    calls: Sequence[Call], results: Sequence[str], by_template: bool
) -> list[dict[str, Any]]:
    """The results as messages: each one by itself, or all in one with the calls that gave them."""
    if by_template:
        return [{"role": "tool", "content": result} for result in results]
    told = [
        {"role": "tool", "name": _spelt(call), "content": result}
        for call, result in zip(calls, results, strict=True)
    ]
    return [{"role": "user", "content": repr(told)}]


def _spelt(call: Call) -> str:
    return (
        f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
    )


def _output(turns: list[list[str]], cut: str | None) -> str:
    return json.dumps({"turns": turns, "cut": cut})
