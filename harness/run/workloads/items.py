"""The items of a task, answered by a greedy model, each sent as it ends.

They are asked one by one or, where the settings say so, several at once: see `together`. An item
that cannot be asked (an image that is none, a prompt that is too long) costs itself alone: it is
told as refused, with the reason, and the others are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from harness.ask import tasks
from harness.ask.lengths import within
from harness.errors import BadFile
from harness.run.protocol import Channel, Request
from harness.run.runtimes import PARALLEL, ArtifactRefused, ParallelRuntime
from harness.run.tasks import Item, TaskKind, kind
from harness.run.workloads import make_runtime
from harness.run.workloads.respondent import Listener, Put, sha256
from harness.run.workloads.together import Refused, Together

Data = dict[str, Any]
Answers = Iterator[tuple[Item, Data | Refused]]


def measure(request: Request, channel: Channel) -> Iterator[Data]:
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

    def ask(item: Item, put: Put | None) -> Data:
        channel.send("item", item=item.id)
        listener = Listener(runtime, template, item.id, lambda: channel.send("alive"), put)
        return _answer(task, task_kind, item, listener)

    missing = [item for item in items if item.id not in request.skip]
    most = int(settings.options.get(PARALLEL, 1))
    if most > 1:
        parallel = cast(ParallelRuntime, runtime).parallel()
        answers = _together(missing, request.alone, Together(parallel, ask), most)
    else:
        answers = _one_by_one(missing, ask)
    for item, answer in answers:
        if isinstance(answer, Refused):
            channel.send("refused", item=item.id, detail=str(answer))
        else:
            yield answer


def _one_by_one(items: list[Item], ask: Callable[[Item, None], Data]) -> Answers:
    for item in items:
        try:
            answer: Data | Refused = ask(item, None)
        except (ArtifactRefused, BadFile) as error:
            answer = error
        yield item, answer


def _together(
    items: list[Item], alone: Sequence[str], together: Together[Data], most: int
) -> Answers:
    """First those that have to be `alone`, in a context like that of the others."""
    yield from together.answers((item for item in items if item.id in alone), 1)
    yield from together.answers((item for item in items if item.id not in alone), most)


def _answer(task: tasks.Task, task_kind: TaskKind, item: Item, listener: Listener) -> Data:
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
