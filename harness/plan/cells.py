"""A cell: one thing to measure. And the rule's way to its cells."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Literal

from pydantic import Field

from harness.ask.claims import Claim, Conditions, Rule
from harness.ask.yaml_file import Row
from harness.metrics import METRICS
from harness.run.protocol import Settings, Shape


class Cell(Row):
    """Model artifact x runtime x device x (task or workload) x the conditions a rule names.

    Two rules with equal cells share one run. What the machine adds (threads, shape) is `Settings`.
    """

    workload: Literal["speed", "load", "memory", "facts", "panel", "prices", "calls"] | None = None
    task: str | None = None
    model: str | None = None
    page: str | None = None
    quantisation: str | None = None
    runtime: str | None = None
    device: str | None = None
    context: int | None = None
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    memory_limit: int | None = None
    page_cache: Literal["cold", "warm"] | None = None
    parallel: int | None = Field(default=None, exclude_if=lambda one: one is None)
    """How many items are under way at once, where it is not one. Written only then: the keys of
    older runs have no word of it."""

    @property
    def name(self) -> str:
        """A readable name, the same for equal cells; fit for a folder."""
        new = f"tg-{self.new_tokens}" if self.new_tokens else None
        limit = f"limit-{self.memory_limit >> 20}MiB" if self.memory_limit else None
        context = f"ctx-{self.context}" if self.context else None
        prompt = f"pp-{self.prompt_tokens}" if self.prompt_tokens else None
        parts = (
            self.task or self.workload,
            self.model or self.page,
            self.quantisation,
            self.runtime,
            self.device,
            context,
            prompt,
            new,
            limit,
            self.page_cache,
            f"parallel-{self.parallel}" if self.parallel else None,
        )
        return "_".join(re.sub(r"[^\w.+-]", "-", part) for part in parts if part)

    @property
    def unwatched(self) -> str | None:
        """Why the memory that it asks for, or limits, can't be seen; None where it can."""
        if self.device in (None, "cpu") or not (self.workload == "memory" or self.memory_limit):
            return None
        return f"what lies in the memory of {self.device} is neither watched nor limited here"


def cells_of(claim: Claim) -> list[Cell]:
    """The cells that settle a claim, in the order its estimate takes them."""
    return [] if claim.rule is None else _cells(claim, claim.rule)


def _cells(claim: Claim, rule: Rule) -> list[Cell]:
    workload, on = METRICS[rule.metric].comes_from, rule.conditions
    if workload == "panel":
        return [Cell(workload="panel", page=claim.page)]
    if workload == "facts":
        return [Cell(workload="facts", model=claim.model)]
    if workload == "prices":
        return [Cell(workload="prices")]
    if workload == "calls":
        return [Cell(workload="calls")]
    base = Cell(
        task=on.task,
        model=claim.model,
        quantisation=on.quantisation,
        runtime=on.runtime,
        device=on.device,
    )
    if METRICS[rule.metric].statistic == "reach":
        (context,) = on.contexts
        return [base.model_copy(update={"context": context, "memory_limit": on.memory_limit})]
    if on.task:
        return [base, *_others(base, on)]
    common = {
        "workload": workload,
        "memory_limit": on.memory_limit,
        "page_cache": on.page_cache,
        "prompt_tokens": on.prompt_tokens,
        "new_tokens": on.new_tokens,
    }
    if workload == "memory":
        return [base.model_copy(update={**common, "context": context}) for context in on.contexts]
    cell = base.model_copy(update=common)
    return [cell, *_others(cell, on)]


def _others(cell: Cell, on: Conditions) -> list[Cell]:
    """The same of what it is compared with, where it is."""
    if on.against is None:
        return []
    model, quantisation = on.against
    return [cell.model_copy(update={"model": model, "quantisation": quantisation})]


def digest(*parts: object) -> str:
    """sha256 over JSON of `parts`, stable across processes and machines."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Row):
        return value.model_dump(mode="json")
    if isinstance(value, Settings | Shape):
        return vars(value)
    raise TypeError(f"{type(value).__name__} has no place in a digest")
