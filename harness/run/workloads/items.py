"""The items of a task, answered by a greedy model, each sent as it ends.

They are asked one by one or, where the settings say so, several at once: see `together`. An item
that cannot be asked (an image that is none, a prompt that is too long) costs itself alone: it is
told as refused, with the reason, and the others are asked. A server that is gone ends them all, and
costs none: they are asked when it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from harness.ask import tasks
from harness.ask.lengths import within
from harness.errors import BadFile
from harness.run.protocol import Channel, Request
from harness.run.runtimes import PARALLEL, ArtifactRefused
from harness.run.runtimes.chat import ServerGone
from harness.run.runtimes.parallel import ParallelRuntime
from harness.run.tasks import Item, Respondent, kind
from harness.run.workloads import make_runtime
from harness.run.workloads.respondent import Listener, Put, sha256
from harness.run.workloads.together import Refused, Together

Data = dict[str, Any]
Answers = Iterator[tuple[Item, Data | Refused]]


class Answering(Respondent, Protocol):
    """A respondent that keeps what it was asked, as `harness.run.records.Turn`."""

    turns: list[Data]


def measure(request: Request, channel: Channel) -> Iterator[Data]:
    """One sample per item that is not in `request.skip`."""
    settings, runtime = request.need_settings(), make_runtime(request)
    task = within(asked(request), settings.context)
    missing = items_of(task, request)
    runtime.load(str(request.artifact), settings)
    runtime.create_context()
    template = runtime.chat_template()
    channel.send("applied", applied=runtime.applied(), template_sha256=sha256(template))

    def ask(item: Item, put: Put | None) -> Data:
        channel.send("item", item=item.id)
        listener = Listener(runtime, template, item.id, lambda: channel.send("alive"), put)
        return answer_of(task, item, listener)

    most = int(settings.options.get(PARALLEL, 1))
    if most > 1:
        parallel = cast(ParallelRuntime, runtime).parallel()
        answers = _together(missing, request.alone, Together(parallel, ask), most)
    else:
        answers = one_by_one(missing, ask)
    yield from told(answers, channel)


def asked(request: Request) -> tasks.Task:
    """The task as the request's model is asked it."""
    return tasks.load()[str(request.task)].asked_of(request.model)


def items_of(task: tasks.Task, request: Request) -> list[Item]:
    """Those that are to be asked."""
    every = kind(task.kind).items(task, Path(str(request.task_data)), request.limit)
    return [item for item in every if item.id not in request.skip]


def told(answers: Answers, channel: Channel) -> Iterator[Data]:
    """The answers, and what was refused told. A server that is gone ends them."""
    for item, answer in answers:
        if isinstance(answer, ServerGone):
            channel.send("gone", detail=str(answer))
            return
        if isinstance(answer, Refused):
            channel.send("refused", item=item.id, detail=str(answer))
        else:
            yield answer


def one_by_one(items: list[Item], ask: Callable[[Item, None], Data]) -> Answers:
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


def answer_of(task: tasks.Task, item: Item, listener: Answering) -> Data:
    """What is kept of an item that is put to a listener."""
    task_kind = kind(task.kind)
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
