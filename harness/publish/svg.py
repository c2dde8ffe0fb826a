"""Shapes of a chart as escaped SVG text. Same shapes, same bytes.

Every position is given in pixels, so neither the fonts nor the screen of the machine that publishes
can move anything. Colours are classes of style.css: a chart follows light and dark. Drawn here and
not by a library: a site has thousands of charts, and the library took a seventh of a second each.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

WIDTH = 320
"""Fits the narrowest phone at full size, so that text is never scaled down."""
_TEXT = 12


def picture(name: str, title: str, summary: str, height: int, shapes: Iterable[Markup]) -> Markup:
    """The element, whose ids start with `name`; `title` and `summary` are what a reader hears."""
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{name}-title {name}-desc" '
        'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{summary}</desc>'
        "{shapes}</svg>"
    ).format(
        name=name,
        width=WIDTH,
        height=height,
        title=printable(title),
        summary=printable(summary),
        shapes=Markup("").join(shapes),
    )


def box(kind: str, x: float, top: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind, *map(_short, (x, top, width, height))
    )


def line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> Markup:
    return Markup('<line class="{}" stroke-width="2" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, *map(_short, (*start, *end))
    )


def dot(kind: str, x: float, y: float, radius: float) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
        kind, *map(_short, (x, y, radius))
    )


def words(kind: str, x: float, y: float, text: str, anchor: str = "start") -> Markup:
    """One line of text that starts, ends or has its middle at `x`."""
    return Markup(
        '<text class="{}" font-size="{}" text-anchor="{}" x="{}" y="{}">{}</text>'
    ).format(kind, _TEXT, anchor, _short(x), _short(y), printable(text))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters: what does not fit would run over its neighbour."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def printable(text: str) -> str:
    """`text` without the characters that XML refuses."""
    return "".join(char if char.isprintable() else " " for char in text)


def _short(number: float) -> str:
    """To a hundredth of a pixel."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
