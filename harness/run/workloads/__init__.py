"""What a worker does with a cell. A new workload is one file and one line in WORKLOADS.

Each file has `measure(request, channel)`, a generator of sample data (see harness.run.records),
run inside the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.run.protocol import Channel, Request
from harness.run.runtimes import RUNTIMES, Runtime, fixed_prompt

if TYPE_CHECKING:  # pydantic, which a worker does without
    from harness.plan.cells import Cell

Measure = Callable[[Request, Channel], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Workload:
    """`protocol` goes into each cell's key: raise it when what is measured changes.

    `interleaved`: its processes take turns with those of other cells, and drift is checked.
    """

    target: str
    protocol: int
    interleaved: bool = False
    watched: bool = False
    needs_runtime: bool = True


WORKLOADS: dict[str, Workload] = {
    "speed": Workload("harness.run.workloads.speed:measure", 1, interleaved=True),
    "load": Workload("harness.run.workloads.load:measure", 1, interleaved=True),
    "memory": Workload("harness.run.workloads.memory:measure", 1, watched=True),
    "facts": Workload("harness.run.workloads.facts:measure", 1, needs_runtime=False),
    "panel": Workload("harness.run.workloads.panel:measure", 1, needs_runtime=False),
    "prices": Workload("harness.run.workloads.prices:measure", 1, needs_runtime=False),
    "calls": Workload("harness.run.workloads.calls:measure", 1, needs_runtime=False),
    "items": Workload("harness.run.workloads.items:measure", 1),
    "messages": Workload("harness.run.workloads.messages:measure", 1),
}

_CHECK_PROMPT, _CHECK_TOKENS = 32, 16


def workload_of(cell: Cell) -> Workload:
    """What a worker does with the cell; a task's items are asked as its runtime can be asked."""
    if cell.task:
        return WORKLOADS[RUNTIMES[str(cell.runtime)].items]
    return WORKLOADS[str(cell.workload)]


def make_runtime(request: Request) -> Runtime:
    """A fresh instance of the request's runtime; the import happens here."""
    from harness.run.worker import resolve

    if request.runtime is None:
        raise ValueError("this workload needs a runtime")
    runtime: Runtime = resolve(request.runtime)()
    return runtime


def checked_output(runtime: Runtime) -> list[int]:
    """The greedy answer to a fixed prompt: the same in each process, or the run is invalid."""
    prompt = fixed_prompt(_CHECK_PROMPT, runtime.vocabulary())
    return runtime.evaluate(prompt, _CHECK_TOKENS, stop_at_end=False).tokens
