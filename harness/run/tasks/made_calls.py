"""The task kind "made_calls": made questions with one right call, or none where one must ask back.

The rows are made here from the task's seed, so no model was trained on them. `made` says which:

- "shapes": arguments that are hard to fill in, the five FACETS of made_shapes in equal parts
- "offers": easy arguments, with 1, 2, 4, 8, 16 and 32 tools on offer in equal parts

`tools` says how the tools are shown: in the "prompt", as JSON at its {{ tools }}, or by the model's
own "template". With the same rows those are two arms of one comparison.

An item's id begins with its facet or number of tools. Arguments are right if they are equal as JSON
(5.0 is 5, true is not 1), texts without regard to case and extra white space; a parameter that the
question says nothing of may be left out or have its default.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ask.task_options import MadeCalls
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import (
    Item,
    Respondent,
    Score,
    call_scores,
    made_offers,
    made_shapes,
    tool_call_parsers,
    tool_calls,
    wheel_data,
)
from harness.run.tasks.bfcl_ast import Fault
from harness.run.tasks.tool_call_parsers import Call

VERSION = 1

OUTCOMES = tool_calls.OUTCOMES | {"exact": "the right calls in any order, arguments equal as JSON"}

OFFERED = (1, 2, 4, 8, 16, 32)
PLACE = "{{ tools }}"


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` rows of the task's order, or as many as are planned; `data` is not read.

    Raises BadFile for a prompt without its place for tools, UserError for too high a limit.
    """
    count, options = wheel_data.count(task, limit), _options(task)
    tool_call_parsers.find(options.parser)
    check_place(task, options.tools)
    parts = [str(one) for one in (made_shapes.FACETS if options.made == "shapes" else OFFERED)]
    return distinct(task, parts, lambda id_, draw: _item(task, options, id_, draw))[:count]


def distinct(
    task: Task, parts: Sequence[str], make: Callable[[str, random.Random], Item]
) -> list[Item]:
    """All items in the task's order, equally many of each part, no two with the same question."""
    found: dict[str, Item] = {}
    asked: set[str] = set()
    for at in range(task.rows.available):
        id_ = f"{parts[at % len(parts)]}-{at // len(parts):03}"
        draws = (random.Random(f"{task.rows.seed}:{id_}:{again}") for again in itertools.count())
        item = next(one for one in (make(id_, draw) for draw in draws) if _said(one) not in asked)
        asked.add(_said(item))
        found[id_] = item
    return [found[id_] for id_ in task.rows.order(list(found))]


def _said(item: Item) -> str:
    return str(item.messages[-1]["content"])


def check_place(task: Task, tools: str) -> None:
    """Raises BadFile unless the prompt shows the tools just where the task says it does."""
    if task.prompt.count(PLACE) != (tools == "prompt"):
        raise BadFile(f"task {task.name}: a prompt holds {PLACE} once, one for a template never")


def beyond_messages(task: Task) -> str | None:
    """Calls that a server has read are written again in Hermes' format, and in no other."""
    options = _options(task)
    other = options.tools == "template" and options.parser != "hermes"
    return f"calls as {options.parser} writes them" if other else None


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    tools = shown(item.payload["functions"]) if _options(task).tools == "template" else None
    return respondent.answer(item.messages, task.max_new_tokens, tools=tools)


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it."""
    parsed = tool_call_parsers.find(item.payload["parser"])(output)
    outcome, detail = call_scores.outcome(
        parsed, output, item.payload["functions"], item.payload["expected"], fault
    )
    return Score(outcome, outcome in tool_calls.CORRECT, tool_calls.shortened(detail))


def fault(call: Call, entry: Mapping[str, Any]) -> Fault | None:
    """What is wrong with a call of the function that `entry` expects."""
    ((_, key),) = entry.items()
    for name in call.arguments:
        if name not in key:
            return Fault("unknown", name)
    for name, wanted in key.items():
        if name not in call.arguments:
            if not wanted.get("omittable"):
                return Fault("missing", name)
        elif not any(same(call.arguments[name], one) for one in wanted["accepted"]):
            return Fault("wrong_value", name)
    return None


def same(given: Any, wanted: Any) -> bool:
    """Whether two values are equal as JSON, texts without regard to case and extra white space."""
    if isinstance(given, bool) or isinstance(wanted, bool):
        return given is wanted
    if isinstance(given, str) and isinstance(wanted, str):
        return given.casefold().split() == wanted.casefold().split()
    if isinstance(given, list) and isinstance(wanted, list):
        return len(given) == len(wanted) and all(map(same, given, wanted))
    if isinstance(given, dict) and isinstance(wanted, dict):
        return given.keys() == wanted.keys() and all(same(given[key], wanted[key]) for key in given)
    return bool(given == wanted)


def shown(functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Functions as a model's template and prompts take them."""
    return [{"type": "function", "function": function} for function in functions]


def system_and_user(task: Task, functions: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    system = task.prompt.replace(PLACE, json.dumps(shown(functions)))
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def _options(task: Task) -> MadeCalls:
    if not isinstance(task.options, MadeCalls):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    return task.options


def _item(task: Task, options: MadeCalls, id_: str, draw: random.Random) -> Item:
    part, _ = id_.split("-")
    if options.made == "shapes":
        made, facets = made_shapes.FACETS[part](draw), {"shape": part}
    else:
        made, facets = made_offers.made(int(part), draw), {"tools": part}
    payload = {
        "functions": made["functions"],
        "expected": made["expected"],
        "parser": options.parser,
    }
    messages = system_and_user(task, made["functions"], made["question"])
    return Item(id_, messages, payload, facets=facets)
