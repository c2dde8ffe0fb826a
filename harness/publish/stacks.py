"""One bar cut into the shares of a whole, with a line of legend for each.

Shares are told apart by their numbers and their order; the colour only says which sort they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.publish import svg
from harness.publish.svg import WIDTH

_BAR, _ROW, _GAP = 26, 20, 2
_NUMBERED = 16
"""Pixels that a share needs for its number to stand in it."""


@dataclass(frozen=True)
class Part:
    """`sort`: a class of style.css."""

    label: str
    count: float
    sort: str


@dataclass(frozen=True)
class Stack:
    title: str
    summary: str
    parts: tuple[Part, ...]


def draw(stack: Stack, name: str) -> Markup:
    """`stack` as an SVG element whose ids start with `name`. The counts must add up to some."""
    height = _BAR + 6 + _ROW * len(stack.parts)
    return svg.picture(name, stack.title, stack.summary, height, _shapes(stack))


def _shapes(stack: Stack) -> Iterator[Markup]:
    total = sum(part.count for part in stack.parts)
    left = 0.0
    for at, part in enumerate(stack.parts, 1):
        width = part.count / total * WIDTH
        yield svg.box(part.sort, left, 0, max(width - _GAP, 0.5), _BAR)
        if width >= _NUMBERED:
            yield svg.words("on", left + (width - _GAP) / 2, 18, str(at), "middle")
        left += width
    for at, part in enumerate(stack.parts, 1):
        line = _BAR + 6 + at * _ROW - 6
        yield svg.box(part.sort, 0, line - 10, 12, 12)
        yield svg.words("ink", 20, line, svg.cut(f"{at} {part.label}", 26))
        yield svg.words("ink", WIDTH, line, f"{part.count:g}, {part.count / total:.1%}", "end")
