"""The items of a task, answered one by one by a greedy model, each sent as it ends.

An item that cannot be asked (an image that is none, a prompt that is too long) costs itself alone:
it is told as refused, with the reason, and the next one is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.ask import tasks
from harness.ask.lengths import within
from harness.errors import BadFile
from harness.run.protocol import Channel, Request
from harness.run.runtimes import ArtifactRefused
from harness.run.tasks import Item, TaskKind, kind
from harness.run.workloads import make_runtime
from harness.run.workloads.respondent import Listener, sha256


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """One sample per item that is not in `request.skip`."""
    settings, runtime = request.need_settings(), make_runtime(request)
    task = tasks.load()[str(request.task)].asked_of(request.model)
    task = within(task, settings.context)
    task_kind = kind(task.kind)
    items = task_kind.items(task, Path(str(request.task_data)), request.limit)
    runtime.load(str(request.artifact), settings)
    runtime.create_context()
    template = runtime.chat_template()
    channel.send("applied", applied=runtime.applied(), template_sha256=sha256(template))
    for item in items:
        if item.id not in request.skip:
            channel.send("item", item=item.id)
            listener = Listener(runtime, template, item.id, lambda: channel.send("alive"))
            try:
                answer = _answer(task, task_kind, item, listener)
            except (ArtifactRefused, BadFile) as error:
                channel.send("refused", detail=str(error))
            else:
                yield answer


def _answer(
    task: tasks.Task, task_kind: TaskKind, item: Item, listener: Listener
) -> dict[str, Any]:
    output = task_kind.ask(task, item, listener)
    score = task_kind.score(item, output)
    first, *later = listener.turns
    return first | {
        "kind": "item",
        "item": item.id,
        "item_sha256": item.digest(),
        "group": item.group,
        "facets": item.facets,
        "later": later,
        "output": output,
        "outcome": score.outcome,
        "correct": score.correct,
        "detail": score.detail,
        "partial": score.partial,
        "by_other_rules": score.by_other_rules,
        "parts": score.parts,
    }
