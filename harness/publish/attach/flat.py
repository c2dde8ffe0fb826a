"""Text as it is compared: one kind of quotation mark, of dash and of space, entities resolved.

What looks the same is the same here; a word is never changed. Characters that turn the direction of
text stay in it, so that no quote is recognised in words that a reader sees in another order.
"""

from __future__ import annotations

import html
import re
from array import array
from bisect import bisect_right

_UNSEEN = "\u00ad\u200b\u2060\ufeff"
_SAME = (
    dict.fromkeys(map(ord, "‘’‚‛′"), "'")
    | dict.fromkeys(map(ord, "“”„‟″"), '"')
    | dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
    | dict.fromkeys(map(ord, _UNSEEN))
    | {ord("…"): "..."}
)
_PLAIN = rf"[^&\s…{_UNSEEN}]+"
_PIECE = re.compile(
    r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]{1,31});?"
    rf"|\s+|[{_UNSEEN}]+|…|{_PLAIN}(?: {_PLAIN})*|&"
)
_GAPS = ("", " ", "\n", "\0")


class Flat:
    """Collects stretches of a source. Knows where in the source each character came from.

    `size`: characters so far, without a gap at the end.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.size = 0
        self._gap = ""
        self._at, self._begin, self._end = array("q"), array("q"), array("q")
        self._same = array("b")  # whether a piece has a character for each of the source's

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def gap(self, kind: str) -> None:
        """What parts the words around it: a space, a line (`\\n`), or anything (`\\0`)."""
        self._gap = max(self._gap, kind, key=_GAPS.index)

    def add(self, source: str, start: int, end: int, *, entities: bool) -> None:
        """The stretch of `source` from `start` to `end`."""
        for found in _PIECE.finditer(source, start, end):
            piece = found[0]
            if entities and piece[0] == "&":
                piece = html.unescape(piece)
            words = piece.translate(_SAME)
            if words.isspace():
                self.gap(" ")
            elif words:
                self._put(words, found.start(), found.end())

    def _put(self, words: str, begin: int, end: int) -> None:
        if self._gap and self._parts:
            self._parts.append(self._gap)
            self.size += 1
        self._gap = ""
        self._at.append(self.size)
        self._begin.append(begin)
        self._end.append(end)
        self._same.append(len(words) == end - begin)
        self._parts.append(words)
        self.size += len(words)

    def source_end(self, at: int) -> int:
        """Where in the source the character before `at` ends. Never inside an entity."""
        piece = bisect_right(self._at, at - 1) - 1
        if self._same[piece]:
            return self._begin[piece] + at - self._at[piece]
        return self._end[piece]


def flat(words: str) -> str:
    """`words` as they are compared."""
    made = Flat()
    made.add(words, 0, len(words), entities=False)
    return made.text
