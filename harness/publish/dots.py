"""Dots with intervals, from left to right: accuracy along a severity or a length.

A chart stands beside a table that says the same. Steps are equally far from each other, whatever
their values: they are labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.publish import svg
from harness.publish.svg import WIDTH

_LEFT, _TOP, _BOTTOM, _HEIGHT = 44, 22, 132, 164
"""Pixels: where the first step's place begins, where all and nothing lie, and the whole."""
_LABEL, _NAME = 8, 36
"""Characters at most."""


@dataclass(frozen=True)
class Dot:
    """A share with its interval."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Dots:
    """Shares from 0 to 1. `limit`: a line across all of them, and its name."""

    title: str
    summary: str
    axis: str
    dots: tuple[Dot, ...]
    limit: tuple[float, str] | None = None


def draw(chart: Dots, name: str) -> Markup:
    """`chart` as an SVG element whose ids start with `name`."""
    return svg.picture(name, chart.title, chart.summary, _HEIGHT, _shapes(chart))


def _shapes(chart: Dots) -> Iterator[Markup]:
    for share in (0.0, 0.5, 1.0):
        yield svg.line("track", (_LEFT, _down(share)), (WIDTH, _down(share)))
        yield svg.words("ink", _LEFT - 6, _down(share) + 4, f"{share:.0%}", "end")
    if chart.limit:
        share, label = chart.limit
        yield svg.line("limit", (_LEFT, _down(share)), (WIDTH, _down(share)))
        yield svg.words("limit", WIDTH, _TOP - 10, svg.cut(label, _NAME), "end")
    step = (WIDTH - _LEFT) / max(1, len(chart.dots))
    for at, dot in enumerate(chart.dots):
        x = _LEFT + (at + 0.5) * step
        yield svg.line("ink", (x, _down(dot.low)), (x, _down(dot.high)))
        yield svg.dot("bar", x, _down(dot.value), 5)
        yield svg.words("ink", x, _BOTTOM + 14, svg.cut(dot.label, _LABEL), "middle")
    middle = (WIDTH + _LEFT) / 2
    yield svg.words("ink", middle, _BOTTOM + 29, svg.cut(chart.axis, _NAME), "middle")


def _down(share: float) -> float:
    return _BOTTOM - share * (_BOTTOM - _TOP)
