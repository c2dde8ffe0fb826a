"""The items of a task, answered one by one by a greedy model, each sent as it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.ask import tasks
from harness.run.chat_template import render
from harness.run.protocol import Channel, Request
from harness.run.runtimes import Runtime, Seen
from harness.run.tasks import Item, TaskKind, kind
from harness.run.workloads import make_runtime

_START, _TOP = 8, 10
"""Enough of a prompt's ids to see a doubled start token, and of the first token's likeliest."""


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """One sample per item that is not in `request.skip`."""
    settings, runtime = request.need_settings(), make_runtime(request)
    task = tasks.load()[str(request.task)]
    task_kind = kind(task.kind)
    items = task_kind.items(task, Path(str(request.task_data)), request.limit)
    runtime.load(str(request.artifact), settings)
    runtime.create_context()
    template = runtime.chat_template()
    channel.send("applied", applied=runtime.applied(), template_sha256=_sha256(template))
    for item in items:
        if item.id not in request.skip:
            channel.send("item", item=item.id)
            yield _answer(runtime, task, task_kind, template, item)


def _answer(
    runtime: Runtime, task: tasks.Task, task_kind: TaskKind, template: str, item: Item
) -> dict[str, Any]:
    prompt = render(template, item.messages)
    seen = _see(runtime, prompt, item)
    ids = seen.ids
    asked = seen if item.images else ids
    answer = runtime.evaluate(asked, task.max_new_tokens, stop_at_end=True, top=_TOP)
    said = answer.tokens[:-1] if answer.stopped == "end" else answer.tokens
    output = runtime.detokenize(said)
    score = task_kind.score(item, output)
    return {
        "kind": "item",
        "item": item.id,
        "item_sha256": item.digest(),
        "prompt_sha256": _sha256(prompt),
        "prompt_tokens": len(ids),
        "image_tokens": seen.image_tokens,
        "image_seconds": answer.image_seconds,
        "prompt_start": ids[:_START],
        "prompt_ids_sha256": _sha256(json.dumps(ids)),
        "evaluated_tokens": answer.evaluated_tokens,
        "new_tokens": len(answer.tokens),
        "stopped": answer.stopped,
        "first_logprobs": answer.first_logprobs,
        "output": output,
        "outcome": score.outcome,
        "correct": score.correct,
        "detail": score.detail,
    }


def _see(runtime: Runtime, prompt: str, item: Item) -> Seen:
    if not item.images:
        return Seen(runtime.tokenize(prompt), 0, None)
    from harness.run.images import decode

    pixels = [decode(data, f"{at} of {item.id}") for at, data in enumerate(item.images, 1)]
    return runtime.see(prompt, pixels)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
