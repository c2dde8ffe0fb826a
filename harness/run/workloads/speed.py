"""Prefill and decode, timed token by token. The model is loaded and warm."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from harness.run.protocol import Channel, Request
from harness.run.runtimes import fixed_prompt
from harness.run.workloads import checked_output, make_runtime

_WARM_UP_TOKENS = 8


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """One process's sample: fixed output, warm-up kept apart, then the shape's repeats."""
    settings, shape, runtime = request.need_settings(), request.need_shape(), make_runtime(request)
    start = time.perf_counter()
    runtime.load(str(request.artifact), settings)
    runtime.create_context()
    load_seconds = time.perf_counter() - start
    output = checked_output(runtime)
    prompt = fixed_prompt(shape.prompt_tokens, runtime.vocabulary())
    warm_up = runtime.evaluate(prompt[: shape.warm_up], _WARM_UP_TOKENS, stop_at_end=False)
    repeats = [
        runtime.evaluate(prompt, shape.new_tokens, stop_at_end=False) for _ in range(shape.repeats)
    ]
    yield {
        "kind": "speed",
        "applied": runtime.applied(),
        "load_seconds": load_seconds,
        "output": output,
        "warm_up": warm_up.timing(),
        "repeats": [answer.timing() for answer in repeats],
    }
