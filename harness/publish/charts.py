"""Bars as inline SVG, drawn by Altair while publishing. Same bars, same bytes.

A chart stands beside a table that says the same, never in its place. Every position is computed
here, so neither the fonts nor the screen of the machine that publishes can move anything. What
Altair returns is taken apart and only shapes and text are kept; colours become classes of
style.css, so that the chart follows light and dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

from markupsafe import Markup, escape

from harness.errors import MissingError

if TYPE_CHECKING:
    import altair

WIDTH = 320
"""Fits the narrowest phone at full size, so that text is never scaled down."""
_ROW, _FOOT, _TEXT = 38, 22, 12
_VALUE, _LINE = 26, 47
_CLASSES = {"#000001": "ink", "#000002": "bar", "#000003": "track", "#000004": "limit"}
_INK, _BAR, _TRACK, _LIMIT = _CLASSES
_KEPT = {"svg", "g", "path", "text", "line", "rect"}
_ATTRIBUTES = {"d", "transform", "x1", "x2", "y1", "y2", "text-anchor", "font-size", "stroke-width"}
_SVG = "http://www.w3.org/2000/svg"


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
    """`chart` as an SVG element whose ids start with `name`.

    Raises MissingError without the extra `site`.
    """
    try:
        import vl_convert

        spec = _spec(chart)
    except ImportError as error:
        raise MissingError("charts on pages need Altair: pip install 'claimbench[site]'") from error
    svg: str = vl_convert.vegalite_to_svg(spec, show_warnings=False)
    return _embed(svg, chart, name)


def _height(chart: Chart) -> int:
    return _ROW * len(chart.bars) + (_FOOT if chart.limit else 0)


def _spec(chart: Chart) -> dict[str, Any]:
    """The Vega-Lite specification: positions in pixels downwards, lengths in the quantity."""
    import altair

    reach = [end for bar in chart.bars for end in (bar.length, bar.high) if end is not None]
    most = max([*reach, *([chart.limit[0]] if chart.limit else [])], default=0) or 1
    height = _height(chart)
    across = altair.Scale(domain=[0, most * 1.02], nice=False)
    down = altair.Scale(domain=[0, height], nice=False, reverse=True)
    layers = [
        *_bar_layers(chart, most * 1.02, across, down),
        *_limit_layers(chart, height, across, down),
    ]
    drawn = altair.layer(*layers).properties(
        width=WIDTH,
        height=height,
        padding=0,
        autosize=altair.AutoSizeParams(type="none"),
    )
    spec: dict[str, Any] = drawn.configure_view(stroke=None).to_dict()
    return spec


def _row(at: int, bar: Bar, end: float) -> dict[str, Any]:
    """What one bar is drawn from; the line of its text, its edges and middle in pixels."""
    top = at * _ROW
    return {
        "label": _short(bar.label, _LINE - min(_VALUE, len(bar.text))),
        "text": _short(bar.text, _VALUE),
        "line": top + 13,
        "top": top + 19,
        "bottom": top + 29,
        "middle": top + 24,
        "zero": 0,
        "end": end,
        "length": bar.length or 0,
        "low": bar.low,
        "high": bar.high,
    }


def _bar_layers(chart: Chart, end: float, across: altair.Scale, down: altair.Scale) -> list[Any]:
    """Label and value on one line, the bar below it, its interval as a line over the bar."""
    import altair

    rows = [_row(at, bar, end) for at, bar in enumerate(chart.bars)]
    base = altair.Chart(altair.InlineData(values=rows))
    spans = [row for row in rows if row["low"] is not None and row["high"] is not None]
    y = altair.Y("line:Q", scale=down, axis=None)

    def box(colour: str, stop: str) -> Any:
        x = altair.X("zero:Q", scale=across, axis=None)
        top = altair.Y("top:Q", scale=down, axis=None)
        return base.mark_rect(color=colour).encode(x=x, x2=f"{stop}:Q", y=top, y2="bottom:Q")

    def words(field: str, x: int, align: Literal["left", "right"]) -> Any:
        mark = base.mark_text(align=align, color=_INK, fontSize=_TEXT, baseline="alphabetic")
        return mark.encode(x=altair.value(x), y=y, text=f"{field}:N")

    spread = (
        altair.Chart(altair.InlineData(values=spans))
        .mark_rule(color=_INK, strokeWidth=2)
        .encode(
            x=altair.X("low:Q", scale=across, axis=None),
            x2="high:Q",
            y=altair.Y("middle:Q", scale=down, axis=None),
        )
    )
    boxes = [box(_TRACK, "end"), box(_BAR, "length")]
    return [
        *boxes,
        *([spread] if spans else []),
        words("label", 0, "left"),
        words("text", WIDTH, "right"),
    ]


def _limit_layers(chart: Chart, height: int, across: altair.Scale, down: altair.Scale) -> list[Any]:
    if chart.limit is None:
        return []
    import altair

    at, name = chart.limit
    rows = [
        {"at": at, "top": row * _ROW + 17, "bottom": row * _ROW + 31}
        for row in range(len(chart.bars))
    ]
    label = altair.Chart(altair.InlineData(values=[{"name": _short(name, 40), "line": height - 7}]))
    base = altair.Chart(altair.InlineData(values=rows))
    x = altair.X("at:Q", scale=across, axis=None)
    rule = base.mark_rule(color=_LIMIT, strokeWidth=2).encode(
        x=x, y=altair.Y("top:Q", scale=down, axis=None), y2="bottom:Q"
    )
    text = label.mark_text(align="right", color=_LIMIT, fontSize=_TEXT, baseline="alphabetic")
    line = altair.Y("line:Q", scale=down, axis=None)
    return [rule, text.encode(x=altair.value(WIDTH), y=line, text="name:N")]


def _short(text: str, limit: int) -> str:
    clean = _printable(text)
    return clean if len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def _printable(text: str) -> str:
    """`text` without the characters that XML refuses."""
    return "".join(char if char.isprintable() else " " for char in text)


def _embed(svg: str, chart: Chart, name: str) -> Markup:
    """Only the shapes of `svg`, with title and description."""
    root = ElementTree.fromstring(svg)
    shapes = Markup("").join(_clean(child) for child in root)
    return Markup(
        '<svg class="chart" role="img" aria-labelledby="{name}-title {name}-desc" '
        'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        '<title id="{name}-title">{title}</title><desc id="{name}-desc">{summary}</desc>'
        "{shapes}</svg>"
    ).format(
        name=name,
        width=WIDTH,
        height=_height(chart),
        title=_printable(chart.title),
        summary=_printable(chart.summary),
        shapes=shapes,
    )


def _clean(element: ElementTree.Element) -> Markup:
    tag = element.tag.removeprefix(f"{{{_SVG}}}")
    if tag not in _KEPT or element.get("display") == "none":
        return Markup("")
    colour = _CLASSES.get(element.get("fill") or "") or _CLASSES.get(element.get("stroke") or "")
    kept = {key: text for key, text in element.attrib.items() if key in _ATTRIBUTES}
    if colour:
        kept["class"] = colour
    elif tag != "g":
        return Markup("")
    attributes = Markup("").join(Markup(' {}="{}"').format(key, kept[key]) for key in sorted(kept))
    inside = escape(element.text or "") + Markup("").join(_clean(child) for child in element)
    if tag == "g" and not inside:
        return Markup("")
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, inside)
