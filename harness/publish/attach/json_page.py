"""Evidence in a page kept as JSON: an array `evidence` behind the texts in which a quote stands.

It goes into the object that holds the text, or, for a text in a list, into the object that holds
the list; `at` in each entry points to the text. Layout, order and spelling of the rest are kept.

Not recognised: keys, and a quote that runs over several texts.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.ask.claims import Claim
from harness.errors import BadFile
from harness.publish.attach.flat import Flat
from harness.publish.attach.fragments import Fragments
from harness.publish.attach.recognise import recognise
from harness.publish.attach.splice import Report, bad, line, put_in, take_out

KEY = "evidence"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass
class Member:
    """One entry of an object. `comma`: where the comma before it is; None for the first."""

    key: str
    start: int
    comma: int | None
    value: int = 0
    end: int = 0


@dataclass
class Object:
    """An object and its entries so far."""

    start: int
    members: list[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """A text, the entry that holds it, and how it is reached from that entry's object."""

    words: str
    start: int
    holder: Object
    member: Member
    pointer: str


def attach(
    source: str, name: str, claims: Sequence[Claim], fragments: Fragments
) -> tuple[str, Report]:
    """`source` with evidence, and what was done. Raises BadFile."""
    source = detach(source, name)
    texts, _ = _Reader(source, name).read()
    flat, starts = Flat(), []
    for text in texts:
        flat.gap("\0")
        starts.append(flat.size)
        flat.add(text.words, 0, len(text.words), entities=False)
    found, report = recognise(flat.text, claims), Report()
    by_object: dict[int, list[tuple[Text, str]]] = {}
    for hit in sorted(found.hits, key=lambda hit: hit.end):
        text = texts[bisect_right(starts, hit.end - 1) - 1]
        by_object.setdefault(text.holder.start, []).append((text, hit.claim))
        report.attached(hit.claim)
    insertions = [_insertion(source, name, held, fragments) for held in by_object.values()]
    report.left = [
        (f"line {line(source, texts[bisect_right(starts, at - 1) - 1].start)}: " if at else "")
        + told
        for at, told in fragments.left(found)
    ]
    return put_in(source, insertions), report


def detach(source: str, name: str) -> str:
    """`source` as it was before evidence was attached. Raises BadFile where it is no JSON."""
    if f'"{KEY}"' not in source:
        return source
    spans = []
    for held in _Reader(source, name).read()[1]:
        for at, member in enumerate(held.members):
            if member.key != KEY or not _is_ours(source[member.value : member.end]):
                continue
            if member.comma is not None:
                spans.append((member.comma, member.end))
            else:  # somebody sorted the keys
                rest = held.members[at + 1 :]
                spans.append((member.start, rest[0].start if rest else member.end))
    return take_out(source, spans)


def _is_ours(value: str) -> bool:
    entries = json.loads(value)
    return (
        isinstance(entries, list)
        and bool(entries)
        and all(isinstance(one, dict) and one.get("by") == "claimbench" for one in entries)
    )


def _insertion(
    source: str, name: str, held: list[tuple[Text, str]], fragments: Fragments
) -> tuple[int, str]:
    """What goes behind the last of an object's texts that were recognised."""
    holder = held[0][0].holder
    if any(member.key == KEY for member in holder.members):
        why = f"this object has an `{KEY}` of its own, and no other place for ours"
        raise bad(name, source, holder.start, why)
    entries = [fragments.entry(claim, text.pointer) for text, claim in held]
    end = max(text.member.end for text, _ in held)
    return end, f', "{KEY}": {json.dumps(entries)}'


class _Reader:
    """Goes through a page once, with a stack of its own: pages may be nested deeply."""

    def __init__(self, source: str, name: str) -> None:
        self._source, self._name = source, name
        self._open: list[Object | list[int]] = []
        self._texts: list[Text] = []
        self._objects: list[Object] = []
        self._comma: int | None = None
        self._at_key = False

    def read(self) -> tuple[list[Text], list[Object]]:
        """All texts and all objects, in order. Raises BadFile."""
        _check(self._source, self._name)
        for token in _TOKEN.finditer(self._source):
            self._see(token[0], token.start(), token.end())
        return self._texts, self._objects

    def _see(self, sign: str, start: int, end: int) -> None:
        top = self._open[-1] if self._open else None
        if sign == ",":
            self._comma, self._at_key = start, isinstance(top, Object)
            if isinstance(top, list):
                top[0] += 1
        elif sign == ":":
            pass
        elif sign in "}]":
            self._open.pop()
            self._ended(end)
        elif isinstance(top, Object) and self._at_key:
            top.members.append(Member(json.loads(sign), start, self._comma))
            self._at_key = False
        else:
            self._value(sign, start, end)

    def _value(self, sign: str, start: int, end: int) -> None:
        if self._open and isinstance(top := self._open[-1], Object):
            top.members[-1].value = start
        self._comma = None
        if sign == "{":
            made = Object(start)
            self._objects.append(made)
            self._open.append(made)
            self._at_key = True
        elif sign == "[":
            self._open.append([0])
            self._at_key = False
        else:
            if sign[0] == '"':
                self._text(json.loads(sign), start)
            self._ended(end)

    def _text(self, words: str, start: int) -> None:
        path: list[str] = []
        for holder in reversed(self._open):
            if isinstance(holder, Object):
                member = holder.members[-1]
                key = member.key.replace("~", "~0").replace("/", "~1")
                pointer = "/".join(["", key, *reversed(path)])
                self._texts.append(Text(words, start, holder, member, pointer))
                return
            path.append(str(holder[0]))

    def _ended(self, end: int) -> None:
        if self._open and isinstance(top := self._open[-1], Object) and top.members:
            top.members[-1].end = end


def _check(source: str, name: str) -> None:
    try:
        data = json.loads(source)
    except json.JSONDecodeError as error:
        raise BadFile(f"{name}:{error.lineno}: no JSON: {error.msg}") from error
    except RecursionError as error:
        raise BadFile(f"{name}: no page: nested too deeply") from error
    if not isinstance(data, dict | list):
        raise BadFile(f"{name}: no page: neither an object nor a list")
    if isinstance(data, list) and any(isinstance(one, str) for one in data):
        why = f'an `{KEY}` has no place in a list of texts; write each as {{"text": ..}}'
        raise BadFile(f"{name}: {why}")
