"""Memory by phase. The parent watches from outside; this side only says where it stands.

The artifact's pages are evicted first: pages that another process read in would not be charged to
a memory cap, and a model would seem to fit for free.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.run.protocol import Channel, Request
from harness.run.runtimes import fixed_prompt
from harness.run.workloads import checked_output, make_runtime, page_cache


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """One process's sample; the parent adds what it saw (phases, sampler)."""
    settings, shape = request.need_settings(), request.need_shape()
    page_cache.evict(Path(str(request.artifact)))
    channel.phase("import")
    runtime = make_runtime(request)
    channel.phase("load")
    runtime.load(str(request.artifact), settings)
    channel.phase("context")
    runtime.create_context()
    prompt = fixed_prompt(shape.prompt_tokens, runtime.vocabulary())
    channel.phase("prefill")
    evaluated = runtime.evaluate(prompt, 1, stop_at_end=False).evaluated_tokens
    channel.phase("decode")
    output = checked_output(runtime)
    channel.phase("end")
    yield {
        "kind": "memory",
        "applied": runtime.applied(),
        "output": output,
        "evaluated_tokens": evaluated,
    }
