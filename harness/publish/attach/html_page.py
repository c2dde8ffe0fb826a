"""Evidence in an HTML page: a badge at each quote, all of it where it is marked or at the end.

`<div data-claimbench="ID"></div>` takes the whole evidence; `<!-- claimbench:ID -->` a badge. What
is put in stands between two comments, the first with a digest of it, so that it can be taken out
again to the byte, and is not if somebody changed it.

Not recognised: words in scripts, styles, templates, form fields, `<noscript>`, SVG, attributes and
comments, words struck out, and a quote that runs over the edge of a block.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.ask.claims import Claim
from harness.errors import UnknownName
from harness.publish.attach.flat import Flat
from harness.publish.attach.fragments import Fragments
from harness.publish.attach.recognise import recognise
from harness.publish.attach.splice import Report, bad, line, put_in, take_out
from harness.publish.attach.tokens import Token, tokens

ATTRIBUTE = "data-claimbench"
_MARK = re.compile(r"\s*claimbench:\s*(\S+)\s*")
_BEGIN = re.compile(r"claimbench begin ([0-9a-f]{16})")
_END = "claimbench end"
_INLINE = {
    *("a", "abbr", "acronym", "b", "bdi", "big", "cite", "code", "data", "dfn", "em", "font", "i"),
    *("ins", "kbd", "mark", "q", "samp", "small", "span", "strong", "sub", "sup", "time", "tt"),
    *("u", "var", "wbr"),
}
_SILENT = {
    *("audio", "canvas", "del", "math", "object", "s", "select", "strike", "svg", "template"),
    "video",
}
_LINKS = {"a", "button"}
_HOLDERS = {
    *("article", "aside", "blockquote", "dd", "div", "figure", "li", "main", "section", "td"),
}


@dataclass(frozen=True)
class Mark:
    """A place that the page's author marked. `whole`: for the whole evidence."""

    claim: str
    at: int
    whole: bool


@dataclass
class Source:
    """What of a page matters here. `links`: from where to where another link cannot stand."""

    flat: Flat = field(default_factory=Flat)
    marks: list[Mark] = field(default_factory=list)
    links: list[tuple[int, int]] = field(default_factory=list)
    head_end: int | None = None
    body_end: int | None = None
    unfinished: Token | None = None


def attach(
    source: str, name: str, claims: Sequence[Claim], fragments: Fragments
) -> tuple[str, Report]:
    """`source` with evidence, and what was done. Raises BadFile, and UnknownName for a mark."""
    source = detach(source, name)
    page, report = _Reader(source, name).read(), Report()
    found = recognise(page.flat.text, claims)
    insertions: list[tuple[int, str]] = []
    shown: set[str] = set()
    places = [(page.flat.source_end(hit.end), hit.claim, False) for hit in found.hits]
    for mark in page.marks:
        if mark.claim not in fragments.known:
            what = f"claim at {name}:{line(source, mark.at)}"
            raise UnknownName(what, mark.claim, fragments.known)
        places.append((mark.at, mark.claim, mark.whole))
    for at, claim, whole in sorted(places):
        report.attached(claim)
        if whole and claim not in shown:
            shown.add(claim)
            insertions.append((at, _ours(fragments.block(claim))))
        else:
            insertions.append((_outside(page, at), _ours(fragments.badge(claim))))
    left = fragments.left(found)
    report.left = [
        (f"line {line(source, page.flat.source_end(at))}: " if at else "") + told
        for at, told in left
    ]
    if not report.places:
        return source, report
    rest = [claim for claim in report.places if claim not in shown]
    section = fragments.section(rest, [told for _, told in left])
    end = _end(page, source, name)
    style = page.head_end if page.head_end is not None else end
    insertions += [(style, _ours(fragments.style)), (end, _ours(section))]
    return put_in(source, insertions), report


def detach(source: str, name: str) -> str:
    """`source` as it was before evidence was attached. Raises BadFile where that was changed."""
    if "claimbench begin " not in source:
        return source
    spans, begin, digest = [], None, ""
    for token in tokens(source):
        if token.kind != "comment":
            continue
        if found := _BEGIN.fullmatch(token.name):
            begin, digest = begin or token, found[1]
        elif begin and token.name == _END:
            if _digest(source[begin.end : token.start]) != digest:
                why = "evidence was attached here and changed by hand; take it out by hand, too"
                raise bad(name, source, begin.start, why)
            spans.append((begin.start, token.end))
            begin = None
    if begin:
        raise bad(name, source, begin.start, "attached evidence begins here and never ends")
    return take_out(source, spans)


def _ours(content: str) -> str:
    return f"<!--claimbench begin {_digest(content)}-->{content}<!--{_END}-->"


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _outside(page: Source, at: int) -> int:
    """`at`, or behind the link that it lies in: links in links are torn apart by browsers."""
    return next((end for start, end in page.links if start < at < end), at)


def _end(page: Source, source: str, name: str) -> int:
    """Where the page's body ends."""
    if page.body_end is not None:
        return page.body_end
    if page.unfinished:
        what = f"<{page.unfinished.name}>" if page.unfinished.name else "what begins here"
        why = f"{what} never ends, so nothing can be put after it; end it, or add </body>"
        raise bad(name, source, page.unfinished.start, why)
    return len(source)


class _Reader:
    """Goes through a page's tokens once."""

    def __init__(self, source: str, name: str) -> None:
        self._source, self._name = source, name
        self._page = Source()
        self._silent: list[Token] = []
        self._link: Token | None = None

    def read(self) -> Source:
        """The page. Raises BadFile for a mark where evidence cannot stand."""
        for token in tokens(self._source):
            if token.kind == "start":
                self._start(token)
            elif token.kind == "end":
                self._finish(token)
            elif not self._silent:
                self._words(token)
            if token.kind in ("start", "text") and self._source[token.start : token.end].strip():
                self._page.body_end = None  # browsers put it into the body again
            if not token.whole:
                self._page.unfinished = token
        for left in (self._link, *self._silent[:1]):
            self._page.unfinished = left or self._page.unfinished
        if self._link:
            self._page.links.append((self._link.end, len(self._source)))
        if self._page.unfinished:
            self._page.body_end = None
        return self._page

    def _words(self, token: Token) -> None:
        if token.kind == "text":
            self._page.flat.add(self._source, token.start, token.end, entities=True)
        elif mark := _MARK.fullmatch(token.name):
            self._page.marks.append(Mark(mark[1], token.end, False))

    def _start(self, token: Token) -> None:
        name = token.name
        self._part(name)
        if self._silent:
            if name == self._silent[0].name and not token.closed:
                self._silent.append(token)
            return
        if name in _SILENT and not token.closed:
            self._silent.append(token)
        if name in _LINKS:
            self._close_link(token.start)
            self._link = token
        if ATTRIBUTE in token.attributes:
            if name not in _HOLDERS or self._link:
                where = f"<{name}>" + (" in a link" if self._link else "")
                why = f"{ATTRIBUTE} on {where}: evidence needs a <div> of its own"
                raise bad(self._name, self._source, token.start, why)
            self._page.marks.append(Mark(token.attributes[ATTRIBUTE], token.end, True))

    def _finish(self, token: Token) -> None:
        self._part(token.name)
        if self._silent:
            if token.name == self._silent[0].name:
                self._silent.pop()
        elif self._link and token.name == self._link.name:
            self._close_link(token.end)
        elif token.name == "head" and self._page.head_end is None:
            self._page.head_end = token.start
        elif token.name == "body":
            self._page.body_end = token.start

    def _close_link(self, at: int) -> None:
        if self._link:
            self._page.links.append((self._link.end, at))
        self._link = None

    def _part(self, name: str) -> None:
        if name in _SILENT:
            self._page.flat.gap("\0")
        elif name == "br":
            self._page.flat.gap(" ")
        elif name not in _INLINE:
            self._page.flat.gap("\n")
