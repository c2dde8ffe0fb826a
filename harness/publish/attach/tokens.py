"""HTML cut into tokens with their places, by the rules that browsers follow for broken pages, too.

Python's own parser differs between versions on comments and scripts, and takes quadratic time on
hostile pages; this one has to find the same places everywhere, in one pass.

Not guaranteed: what a browser does with tags of SVG and MathML that are not closed in order.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

_OPENING = re.compile(r"<(?:(/?)([a-zA-Z][^\s/>]*)|(!--)|[!?/])")
_ATTRIBUTE = re.compile(
    r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s>]*))?"""
)
_TAG_END = re.compile(r"[\s/]*>")
_COMMENT_END = re.compile(r"--!?>")
_SCRIPT = re.compile(r"<!(?=--)|-->|<(/?)script(?=[\s/>])", re.IGNORECASE)
_RAW = {
    *("iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea"),
    *("title", "xmp"),
}
_FOREIGN = {"svg", "math"}
_HOLDS_HTML = {
    *("foreignobject", "desc", "title"),
    *("annotation-xml", "mi", "mn", "mo", "ms", "mtext"),
}
_BREAKS_OUT = {
    *("b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em"),
    *("embed", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing"),
    *("menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s", "small", "span", "strike", "strong"),
    *("sub", "sup", "table", "tt", "u", "ul", "var"),
}
"""HTML that ends SVG or MathML around it, as if their end tags had been there."""


class Token(NamedTuple):
    """`name` is a tag's name or a comment's words. `whole` is false where the file ends inside.

    `closed`: the tag ends in `/>`, which counts in SVG and MathML alone.
    """

    kind: Literal["text", "raw", "start", "end", "comment"]
    start: int
    end: int
    name: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    whole: bool = True
    closed: bool = False


def tokens(source: str) -> Iterator[Token]:
    """All of `source` in order, without a gap. `raw` is what scripts, styles and titles hold."""
    at, foreign = 0, _Foreign()
    while at < len(source):
        opening = _OPENING.search(source, at)
        begin = opening.start() if opening else len(source)
        if at < begin:
            yield Token("text", at, begin)
        if not opening:
            return
        token = _markup(source, opening, bool(foreign))
        yield token
        at = token.end
        raw = token.kind == "start" and not foreign and token.name in _RAW
        foreign.see(token)
        if raw and token.whole:
            end = _raw_end(source, at, token.name)
            yield Token("raw", at, end, token.name, whole=end < len(source))
            at = end


class _Foreign:
    """Whether the place is within SVG or MathML, where scripts and styles are tags like others."""

    def __init__(self) -> None:
        self._name = ""
        self._depth = self._html = 0

    def __bool__(self) -> bool:
        return bool(self._name) and not self._html

    def see(self, token: Token) -> None:
        """Goes past a token."""
        if token.closed or token.kind not in ("start", "end"):
            return
        step, name = (1 if token.kind == "start" else -1), token.name
        if not self._name:
            self._name = name if name in _FOREIGN and step > 0 else ""
        if name == self._name:
            self._depth += step
        elif self._name and name in _HOLDS_HTML:
            self._html = max(self._html + step, 0)
        if self._name and (not self._depth or (self and name in _BREAKS_OUT and step > 0)):
            self._name, self._depth, self._html = "", 0, 0


def _markup(source: str, opening: re.Match[str], foreign: bool) -> Token:
    start = opening.start()
    if opening[2]:
        return _tag(source, opening)
    if opening[3]:
        end = _COMMENT_END.search(source, start + 2)
        stop = max(end.start(), start + 4) if end else len(source)
        return Token(
            "comment",
            start,
            end.end() if end else len(source),
            source[start + 4 : stop],
            whole=bool(end),
        )
    closing = "]]>" if foreign and source.startswith("<![CDATA[", start) else ">"
    stop = source.find(closing, start)
    if stop < 0:
        return Token("comment", start, len(source), whole=False)
    return Token("comment", start, stop + len(closing))


def _tag(source: str, opening: re.Match[str]) -> Token:
    kind: Literal["start", "end"] = "end" if opening[1] else "start"
    name, at = opening[2].lower(), opening.end()
    attributes: dict[str, str] = {}
    while not (end := _TAG_END.match(source, at)):
        found = _ATTRIBUTE.match(source, at)
        if not found:
            return Token(kind, opening.start(), len(source), name, whole=False)
        value = found[2] or ""
        if value[:1] in ("'", '"'):
            value = value[1:-1]
        attributes.setdefault(found[1].lower(), html.unescape(value))
        at = found.end()
    closed = end[0].endswith("/>")
    return Token(kind, opening.start(), end.end(), name, attributes, closed=closed)


def _raw_end(source: str, at: int, name: str) -> int:
    """Where the end tag of a raw element begins."""
    if name == "plaintext":
        return len(source)
    if name == "script":
        return _script_end(source, at)
    end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(source, at)
    return end.start() if end else len(source)


def _script_end(source: str, at: int) -> int:
    """A script within a comment within a script does not end the outer one."""
    comment = inner = False
    for found in _SCRIPT.finditer(source, at):
        if found[0].startswith("<!"):
            comment = True
        elif found[0] == "-->":
            comment = inner = False
        elif not found[1]:
            inner = comment
        elif inner:
            inner = False
        else:
            return found.start()
    return len(source)
