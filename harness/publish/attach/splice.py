"""What the kinds of pages share: the report, and text put into a source that stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.errors import BadFile


@dataclass
class Report:
    """What became of a page: places by claim, and in words what was left alone."""

    places: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def attached(self, claim: str) -> None:
        """One more place."""
        self.places[claim] = self.places.get(claim, 0) + 1

    def sentence(self) -> str:
        """The first line of what the command says."""
        claims, places = len(self.places), sum(self.places.values())
        if not claims:
            return "no evidence attached: no mark, and no quote of a claim, was found"
        return f"evidence on {_count(claims, 'claim')} attached at {_count(places, 'place')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def put_in(source: str, insertions: Iterable[tuple[int, str]]) -> str:
    """`source` with texts at offsets. Texts at one offset keep their order."""
    parts, last = [], 0
    for at, text in sorted(insertions, key=lambda one: one[0]):
        parts += [source[last:at], text]
        last = at
    return "".join([*parts, source[last:]])


def take_out(source: str, spans: Iterable[tuple[int, int]]) -> str:
    """`source` without these stretches."""
    parts, last = [], 0
    for start, end in sorted(spans):
        parts.append(source[last:start])
        last = end
    return "".join([*parts, source[last:]])


def bad(name: str, source: str, at: int, why: str) -> BadFile:
    """An error that names file and line."""
    return BadFile(f"{name}:{line(source, at)}: {why}")


def line(source: str, at: int) -> int:
    """The number of the line that holds offset `at`."""
    return source.count("\n", 0, at) + 1
