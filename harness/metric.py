"""What the table of metrics is a table of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Statistic = Literal[
    "log_t",
    "paired",
    "wilson",
    "lead",
    "windows",
    "token_pairs",
    "slope",
    "bracket",
    "reach",
    "exact",
    "bounds",
    "price_ratio",
]
"""How `harness.judge` turns samples into an estimate with an interval; see judge/estimates.py."""

TWO_RUNS: tuple[Statistic, ...] = ("lead", "token_pairs")
"""Those that take two runs of one task, of two artifacts."""


@dataclass(frozen=True)
class Metric:
    """One quantity. `comes_from` names the workload that yields it; None means a task."""

    name: str
    label: str
    """What a reader of a page is shown instead of the name."""
    unit: str
    better: Literal["higher", "lower"] | None
    comes_from: str | None
    statistic: Statistic
    show: Callable[[float | str | bool], str]
    definition: str
    misses: str
