"""Bars. A chart stands beside a table that says the same, never in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.publish import svg
from harness.publish.svg import WIDTH

_ROW, _FOOT = 38, 22
_VALUE, _LINE = 26, 47
"""Characters: of a value at most, and of label and value together."""


@dataclass(frozen=True)
class Bar:
    """One bar. `length` null: nothing to draw, `text` says why."""

    label: str
    length: float | None
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    """Bars of one quantity from zero on. `limit`: a line across all of them, and its name."""

    title: str
    summary: str
    bars: tuple[Bar, ...]
    limit: tuple[float, str] | None = None


def draw(chart: Chart, name: str) -> Markup:
    """`chart` as an SVG element whose ids start with `name`."""
    height = _ROW * len(chart.bars) + (_FOOT if chart.limit else 0)
    return svg.picture(name, chart.title, chart.summary, height, _shapes(chart, height))


def _shapes(chart: Chart, height: int) -> Iterator[Markup]:
    reach = [end for bar in chart.bars for end in (bar.length, bar.high) if end is not None]
    most = max([*reach, *([chart.limit[0]] if chart.limit else [])], default=0) or 1
    scale = WIDTH / (most * 1.02)
    for at, bar in enumerate(chart.bars):
        yield from _bar(at * _ROW, bar, scale)
    if chart.limit is None:
        return
    at_most, label = chart.limit
    for top in range(0, _ROW * len(chart.bars), _ROW):
        yield svg.line("limit", (at_most * scale, top + 17), (at_most * scale, top + 31))
    yield svg.words("limit", WIDTH, height - 7, svg.cut(label, 40), "end")


def _bar(top: int, bar: Bar, scale: float) -> Iterator[Markup]:
    """Label and value on one line, the bar below it, its interval as a line over the bar."""
    room = _LINE - min(_VALUE, len(bar.text))
    yield svg.words("ink", 0, top + 13, svg.cut(bar.label, room))
    yield svg.words("ink", WIDTH, top + 13, svg.cut(bar.text, _VALUE), "end")
    yield svg.box("track", 0, top + 19, WIDTH, 10)
    if bar.length:
        yield svg.box("bar", 0, top + 19, bar.length * scale, 10)
    if bar.low is not None and bar.high is not None:
        yield svg.line("ink", (bar.low * scale, top + 24), (bar.high * scale, top + 24))
