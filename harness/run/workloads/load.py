"""Load time, with the artifact's pages evicted from the page cache (cold) or read in (warm)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.run.protocol import Channel, Request
from harness.run.workloads import checked_output, make_runtime, page_cache


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """One process's sample: seconds for the model and for the context, apart."""
    settings, runtime = request.need_settings(), make_runtime(request)
    path = Path(str(request.artifact))
    if request.page_cache == "cold":
        page_cache.evict(path)
    else:
        page_cache.read_in(path)
    cached_before = page_cache.cached_share(path)

    start = time.perf_counter()
    runtime.load(str(path), settings)
    loaded = time.perf_counter()
    runtime.create_context()
    ready = time.perf_counter()

    yield {
        "kind": "load",
        "applied": runtime.applied(),
        "output": checked_output(runtime),
        "cached_before": cached_before,
        "model_seconds": loaded - start,
        "context_seconds": ready - loaded,
    }
