"""The harness adds little to what llama.cpp takes to load a model. The long form with a model of
three billion weights, and an interval: scripts/compare-load."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
ROUNDS = 4


@pytest.mark.alone
def test_a_worker_is_ready_soon_after_llama_cpp_alone(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the quickest of a few processes each, from their start: others may be busy here."""
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS), prepend=os.pathsep)
    script = runpy.run_path(str(SCRIPTS / "compare-load"))
    request = script["requested"]("smollm2-135m-instruct", "Q4_1")
    ours = min(script["harness_seconds"](request) for _ in range(ROUNDS))
    theirs = min(script["alone_seconds"](request) for _ in range(ROUNDS))
    assert 0 < ours < theirs + script["LIMIT_SECONDS"], (ours, theirs)
