"""Cells that a server answers: nothing to prepare, but an address to ask and perhaps a bill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.ask import prices
from harness.ask.models import SERVED, Model
from harness.ask.prices import Price
from harness.ask.tasks import Task
from harness.errors import HarnessError
from harness.plan import estimate
from harness.plan.cells import Cell
from harness.run import endpoint
from harness.run.endpoint import LOOPBACK, Endpoint
from harness.run.tasks import beyond_messages

SECONDS, SLOWEST = 30.0, 40.0
"""Of an item; and what a server on a slow machine may take for a long one, by which its silence is
judged: nobody knows before it is asked."""


@dataclass(frozen=True)
class Cost:
    """A guess of what some items take. `dollars` None: no price is listed."""

    requests: int
    prompt_tokens: int
    new_tokens: int
    dollars: float | None
    price: Price | None

    def __str__(self) -> str:
        tokens = f"{self.prompt_tokens:,} tokens of prompts and {self.new_tokens:,} of answers"
        text = f"some {self.requests:,} requests, {tokens}"
        if self.price is None or self.dollars is None:
            return f"{text} (a guess)"
        return f"{text}, ${self.dollars:.2f} at the list price of {self.price.as_of} (a guess)"


def cost(model: Model, task: Task, items: int) -> Cost:
    """What it takes to ask a model `items` of a task, at the price that prices.yaml has for it."""
    requests, prompt, new = estimate.item_requests(task)
    prompts, answers = round(items * requests * prompt), round(items * requests * new)
    hosted = model.endpoint()
    price = prices.load().get(hosted.service) if hosted else None
    dollars = (prompts * price.input + answers * price.output) / 1e6 if price else None
    return Cost(round(items * requests), prompts, answers, dollars, price)


def where(model: Model) -> str:
    """What a record says of the server's address. Raises HarnessError where there is none."""
    hosted = model.endpoint()
    return endpoint.from_environment().place(hosted.hosts if hosted else ())


def identity(model: Model) -> str:
    """What is known beforehand of who answers: where, and for a hosted model its name there."""
    hosted = model.endpoint()
    return f"{where(model)} {hosted.served_as if hosted else ''}"


def problem(cell: Cell, model: Model, tasks: Mapping[str, Task]) -> str | None:
    """Why the cell can't be asked of the server that the environment names."""
    if cell.task is None:
        return f"openai: a server's {cell.workload} is that of its machine and of the way there"
    if cell.context or cell.memory_limit or cell.parallel:
        return "openai: a server's context, memory and order of work are its own; leave them out"
    if cell.quantisation != SERVED:
        return f"openai: only the server knows its quantisation; leave it at '{SERVED}'"
    if wanted := beyond_messages(tasks[cell.task]):
        return f"openai takes messages and gives text; {cell.task} wants {wanted}"
    try:
        return _wrong_host(model, endpoint.from_environment())
    except HarnessError as error:
        return str(error)


def _wrong_host(model: Model, found: Endpoint) -> str | None:
    """A model without weights is where its publisher says, and nowhere else."""
    hosted = model.endpoint()
    if hosted is None or found.place(hosted.hosts) in hosted.hosts:
        return None
    there = "a server on this machine" if found.place(()) == LOOPBACK else "another host"
    known = " or ".join(hosted.hosts)
    return f"{model.id} is served at {known}; {endpoint.BASE} names {there}"
