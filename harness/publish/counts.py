"""How many claims of each kind have each verdict: the whole of a site in one small table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from harness.ask.claims import Kind
from harness.judge.verdicts import Outcome
from harness.publish.words import OUTCOMES, OutcomeWords

HEADS = ("kind", "claims", *(outcome.word.lower() for outcome in OUTCOMES.values()))
"""Of the columns of `cells`."""


@dataclass(frozen=True)
class Row:
    """One kind, or all of them together. `counts` has every outcome, zeros as well."""

    kind: str
    counts: dict[Outcome, int]

    @property
    def claims(self) -> int:
        return sum(self.counts.values())

    @property
    def some(self) -> list[tuple[OutcomeWords, int]]:
        """The outcomes that some claim has."""
        return [(OUTCOMES[name], number) for name, number in self.counts.items() if number]

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.kind, str(self.claims), *map(str, self.counts.values()))


def by_kind(judged: Iterable[tuple[Kind, Outcome]]) -> list[Row]:
    """A row per kind that is there, in the order of `Kind`, and one of all kinds at the end."""
    number = Counter(judged)
    kinds = [kind for kind in get_args(Kind) if any(kind == known for known, _ in number)]
    rows = [Row(kind, {name: number[kind, name] for name in OUTCOMES}) for kind in kinds]
    return [*rows, Row("all", {name: sum(row.counts[name] for row in rows) for name in OUTCOMES})]
