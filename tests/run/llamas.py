"""llama.cpp in the process of the tests, which outlives its models. A worker has one and ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp as api
from workers import asked

from harness.run.protocol import Settings
from harness.run.runtimes.llamacpp import LlamaCpp

_made: list[LlamaCpp] = []
"""llama.cpp logs to the newest for ever, so none is dropped, be it freed or not."""


def new() -> LlamaCpp:
    """One that is freed after the test, or after the module whose fixture made it."""
    _made.append(LlamaCpp())
    return _made[-1]


def ready(path: Path, settings: Settings) -> LlamaCpp:
    found = new()
    found.load(str(path), settings)
    found.create_context()
    return found


def runtime(path: Path, **changes: Any) -> LlamaCpp:
    """With the settings of the tests but for these."""
    return ready(path, asked(**changes))


@contextmanager
def freed() -> Iterator[None]:
    """What is made in here is given back at the end: else every model stays mapped to the last."""
    before = len(_made)
    yield
    for one in _made[before:]:
        held = vars(one)
        held.pop("_vision", None)  # mtmd's part of it goes with the last reference
        if context := held.pop("_context", None):
            api.llama_free(context)
        if model := held.pop("_model", None):
            api.llama_model_free(model)
