"""The task kind "tool_chains": calls that depend on each other, answered by a simulated register.

A question asks who is, say, the doctor of the friend of Anna. Each relation is a tool that takes a
person and tells another one; `report` ends the conversation. The register answers every call that
it can and tells what was wrong with any other, so a model may go astray and come back; it has three
turns to spare. Chains have 1, 2, 4, 8 or 16 look-ups, in equal parts; an item's id begins with it.

The output is the list of the model's answers, as JSON: the register is the same each time, so the
whole conversation follows from it. Several calls in one answer are answered in their order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.ask.task_options import ToolChains
from harness.ask.tasks import Task
from harness.run.tasks import (
    Item,
    Respondent,
    Score,
    made_calls,
    made_values,
    tool_call_parsers,
    tool_calls,
    wheel_data,
)
from harness.run.tasks.tool_call_parsers import Call

VERSION = 1

OUTCOMES = {
    "unparseable": "the first departure from the chain is an answer that cannot be read",
    "invented_tool": ".. a call of a tool that was not offered",
    "invented_argument": ".. a call with an argument that no tool has",
    "wrong_argument": ".. the right look-up or report, of a wrong person or of none",
    "spurious_call": ".. an offered tool whose turn it was not",
    "missing_call": ".. an answer without a call, or nothing reported within the turns allowed",
    "recovered": "the right person was reported, each look-up made in its order, others as well",
    "exact": "each look-up in its order, then the right report, and no other call",
}
"""Of an answer that is not right, what it first did wrong; the detail says after how many calls."""

LENGTHS = (1, 2, 4, 8, 16)
REQUESTS = sum(LENGTHS) / len(LENGTHS) + 1
"""Of an item that goes right, on average: its look-ups and the report."""
SPARE_TURNS = 3
_REPORT = "report"
_RELATIONS = ("manager", "neighbour", "teacher", "friend", "doctor", "cousin")
_ERROR = "error: "


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned; `data` is not read.

    Raises BadFile for a prompt without its place for tools, UserError for too high a limit.
    """
    count, options = wheel_data.count(task, limit), _options(task)
    tool_call_parsers.find(options.parser)
    made_calls.check_place(task, options.tools)
    parts = [str(length) for length in LENGTHS]
    return made_calls.distinct(task, parts, lambda id_, draw: _item(task, options, id_, draw))[
        :count
    ]


def beyond_messages(task: Task) -> str | None:
    """A server wants each result under the number of its call, and here one message has all."""
    return "results of calls as one message" if _options(task).tools == "template" else None


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    """Lets the model call until it reports, says something without a call, or is out of turns."""
    by_template = _options(task).tools == "template"
    tools = made_calls.shown(item.payload["functions"]) if by_template else None
    messages, said = list(item.messages), []
    for _ in range(len(item.payload["chain"]) + 1 + SPARE_TURNS):
        text = respondent.answer(messages, task.max_new_tokens, tools=tools)
        said.append(text)
        calls = _calls(item.payload, text)
        if not calls or any(call.name == _REPORT for call in calls):
            break
        replies = "\n".join(_reply(item.payload, call) for call in calls)
        messages.append({"role": "assistant", "content": text})
        messages.append({"role": "tool" if by_template else "user", "content": replies})
    return json.dumps(said)


def score(item: Item, output: str) -> Score:
    """The outcome of a conversation, as OUTCOMES defines it."""
    said, payload = json.loads(output), item.payload
    wanted = [*payload["chain"], [_REPORT, payload["answer"]]]
    calls = [call for text in said for call in _calls(payload, text)]
    right, fault = 0, None
    for call in calls:
        wrong = _departure(call, wanted[right], payload) if right < len(wanted) else None
        if wrong is None and right < len(wanted):
            right += 1
        else:
            fault = fault or (*(wrong or ("spurious_call", f"{call.name!r} after the end")), right)
    if right == len(wanted):
        outcome = "recovered" if fault else "exact"
        return Score(outcome, True, f"{len(calls)} calls for {len(wanted)}")
    outcome, detail, before = fault or (*_stopped(payload, said), right)
    told = f"after {before} of {len(wanted)} calls: {detail}"
    return Score(outcome, False, tool_calls.shortened(told))


def _options(task: Task) -> ToolChains:
    if not isinstance(task.options, ToolChains):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    return task.options


def _item(task: Task, options: ToolChains, id_: str, draw: random.Random) -> Item:
    length = int(id_.split("-")[0])
    register = {relation: _links(draw) for relation in _RELATIONS}
    person = start = draw.choice(made_values.PEOPLE)
    chain, path = [], []
    for _ in range(length):
        relation = draw.choice(_RELATIONS)
        chain.append([f"{relation}_of", person])
        path.append(relation)
        person = register[relation][person]
    functions = [_tool(f"{relation}_of", f"Tells who the {relation} of a person is.")
                 for relation in _RELATIONS]  # fmt: skip
    functions.append(_tool(_REPORT, "Gives the user the person that was asked for. Ends the task."))
    asked = " of ".join(f"the {relation}" for relation in reversed(path))
    text = (
        f"Who is {asked} of {start}? Look it up one call at a time; you will be told each answer. "
        f"In the end call {_REPORT}."
    )
    payload = {
        "chain": chain,
        "answer": person,
        "register": register,
        "functions": functions,
        "parser": options.parser,
    }
    messages = made_calls.system_and_user(task, functions, text)
    return Item(id_, messages, payload, facets={"calls": str(len(payload["chain"]))})


def _links(draw: random.Random) -> dict[str, str]:
    """Each person's one; everybody is somebody's, and nobody their own."""
    circle = draw.sample(made_values.PEOPLE, len(made_values.PEOPLE))
    return dict(zip(circle, [*circle[1:], circle[0]], strict=True))


def _tool(name: str, description: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {"person": {"type": "string"}},
        "required": ["person"],
    }
    return {"name": name, "description": description, "parameters": parameters}


def _calls(payload: dict[str, Any], text: str) -> Sequence[Call]:
    return tool_call_parsers.find(payload["parser"])(text).calls


def _reply(payload: dict[str, Any], call: Call) -> str:
    """What the register says to a call."""
    relation, person = call.name.removesuffix("_of"), call.arguments.get("person")
    if relation not in payload["register"] or not call.name.endswith("_of"):
        return f"{_ERROR}there is no tool {call.name!r}"
    if set(call.arguments) != {"person"}:
        return f"{_ERROR}{call.name} takes one argument, person"
    known = payload["register"][relation]
    if not isinstance(person, str) or person not in known:
        return f"{_ERROR}nobody is called {person!r}"
    return f"The {relation} of {person} is {known[person]}."


def _departure(
    call: Call, wanted: Sequence[str], payload: dict[str, Any]
) -> tuple[str, str] | None:
    """How a call departs from the one whose turn it is; None if it is that."""
    if call.name not in [function["name"] for function in payload["functions"]]:
        return "invented_tool", f"{call.name!r} was not offered"
    unknown = call.arguments.keys() - {"person"}
    if unknown:
        return "invented_argument", f"{min(unknown)!r} is no argument of {call.name}"
    name, person = wanted
    if call.name != name:
        return "spurious_call", f"{call.name!r} instead of {name!r}"
    given = call.arguments.get("person")
    return None if given == person else ("wrong_argument", f"{given!r} instead of {person!r}")


def _stopped(payload: dict[str, Any], said: Sequence[str]) -> tuple[str, str]:
    """Why a conversation without a wrong call did not come to its end."""
    parsed = tool_call_parsers.find(payload["parser"])(said[-1])
    if parsed.state == "unparseable":
        return "unparseable", parsed.problem
    return "missing_call", "no call"
