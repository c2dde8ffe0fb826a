"""Runs on disk for a site: a model that was timed on three runtimes, one asked along a severity."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.judge import judge
from harness.judge.verdicts import Verdict
from harness.plan.cells import Cell
from harness.run.records import ItemData, RuntimeRecord

sys.path.append(str(Path(__file__).parents[1] / "judge"))
records: Any = import_module("judge_records")

ASKED = Cell(task="made", model="quill", quantisation="Q4_0", runtime="llama.cpp", device="cpu")
TIMED = Cell(workload="speed", model="quill", quantisation="Q4_0", runtime="llama.cpp")
RATES = (20.0, 20.4, 19.8)
MACHINE = "laptop-8c-32g"


def items(axis: str = "severity", name: str = "blur") -> list[ItemData]:
    """Of ten pictures all are right when clean, eight at severity 1, three at severity 2."""
    found = []
    for severity, right in ((0, 10), (1, 8), (2, 3)):
        facets = {axis: str(severity)} | ({"degradation": name} if severity else {})
        for at in range(10):
            update = {"facets": facets, "group": str(at)}
            found.append(records.item(at < right).model_copy(update=update))
    return found


def timed(
    results: Path,
    runtime: str = "llama.cpp",
    quantisation: str = "Q4_0",
    rates: Sequence[float] = RATES,
    **changes: Any,
) -> Path:
    """A run that decodes at `rates`, one a process. `changes`: of the run, `cell` of its cell."""
    cell = {"runtime": runtime, "quantisation": quantisation, "device": "cpu"}
    cell |= changes.pop("cell", {})
    base = {
        "machine": MACHINE,
        "runtime": RuntimeRecord(name=runtime, version="1.2", device=cell["device"]),
    }
    data = changes.pop("data", None) or [records.speed(one) for one in rates]
    folder: Path = records.write(results, TIMED.model_copy(update=cell), data, **(base | changes))
    return folder


def everywhere(results: Path) -> None:
    """Quill's speed on three runtimes, one of them with generated weights."""
    timed(results)
    timed(results, "onnx", "int8", (31.0, 30.1, 30.6))
    weights = records.artifact("synthetic")
    warned = ["decode rate drifted over the run (p = 0.001)"]
    slow = (9.9, 10.2, 10.4)
    timed(results, "transformers", "fp16", slow, session="t", artifact=weights, warnings=warned)


def judged(results: Path, metric: str = "decode_rate", threshold: float = 10) -> Verdict:
    """The verdict on a claim that rests on the first of them."""
    asked = records.claim(metric, ">=", threshold, n=3, tool="Quill 3B")
    (found,) = judge.judge(results, [asked], {})
    judge.write(results, [found])
    return found
