"""A page in as many files as keep each below LIMIT: nobody waits on a phone for ten megabytes.

A page with few claims is one file. One with many is `<page>.html` with the counts and an index of
its parts, `<page>.text.html` with the page's own words, and `<page>.1.html` and so on with answers
and evidence. Not guaranteed: that words or one claim's evidence that alone exceed LIMIT fit in it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import jinja2
from markupsafe import Markup

from harness.publish import template, view
from harness.publish.exports import claim_review
from harness.publish.view import ClaimView, Group, PageView
from harness.publish.words import OutcomeWords

LIMIT = 300_000
"""Bytes of one file."""


@dataclass(frozen=True)
class Part:
    """Some of a page's claims, in a file of their own."""

    file: str
    groups: list[Group]
    counts: list[tuple[OutcomeWords, int]]
    reviews: Markup | None

    @property
    def claims(self) -> list[ClaimView]:
        return [claim for group in self.groups for claim in group.claims]


def files(
    templates: jinja2.Environment, shown: PageView
) -> Generator[tuple[str, bytes], None, PageView]:
    """The page's files by name in the site; returns the page with its claims where they now are."""
    name = shown.page.id
    whole = template.render(templates, "page.html", shown=shown)
    if len(whole) <= LIMIT or len(shown.claims) < 2:
        yield f"{name}.html", whole
        return shown
    found = list(_split(templates, shown))
    linked = {claim.claim.id: claim for part in found for claim in part.claims}
    groups = [
        replace(group, claims=[linked[claim.claim.id] for claim in group.claims])
        for group in shown.groups
    ]
    shown = replace(shown, by_claim=linked, groups=groups, split=True)
    yield f"{name}.html", template.render(templates, "split.html", shown=shown, parts=found)
    yield f"{name}.text.html", template.render(templates, "text.html", shown=shown)
    for at, part in enumerate(found):
        around = {"shown": shown, "parts": found, "part": part, "at": at}
        yield part.file, template.render(templates, "part.html", **around)
    return shown


def _split(templates: jinja2.Environment, shown: PageView) -> Iterator[Part]:
    """Claims in their order, as many to a part as fit."""
    frame = template.render(templates, "part.html", shown=shown, parts=[], part=None, at=0)
    sizes = {claim.claim.id: _size(templates, shown, claim) for claim in shown.claims}
    asked = [(group.question, claim) for group in shown.groups for claim in group.claims]
    number, room, taken = 1, LIMIT - len(frame), 0
    mine: list[tuple[str, ClaimView]] = []
    for question, claim in asked:
        size = sizes[claim.claim.id]
        if mine and taken + size > room:
            yield _part(shown, number, mine)
            number, taken, mine = number + 1, 0, []
        mine.append((question, claim))
        taken += size
    yield _part(shown, number, mine)


def _size(templates: jinja2.Environment, shown: PageView, claim: ClaimView) -> int:
    """Bytes that a claim takes on a part, with a question of its own and links into the file."""
    alone = _part(shown, 999, [("?" * 50, claim)])
    around = {"shown": shown, "parts": [], "part": alone, "at": 0}
    return len(template.render(templates, "claims.html", **around)) + len(alone.reviews or "")


def _part(shown: PageView, number: int, claims: Iterable[tuple[str, ClaimView]]) -> Part:
    file = f"{shown.page.id}.{number}.html"
    groups = [
        Group(question, [_moved(one, file) for _, one in members])
        for question, members in groupby(claims, key=lambda pair: pair[0])
    ]
    verdicts = [shown.verdicts[one.claim.id] for group in groups for one in group.claims]
    reviews = claim_review.script(shown.page, verdicts, file)
    return Part(file, groups, view.counts(verdicts), reviews)


def _moved(claim: ClaimView, file: str) -> ClaimView:
    return replace(claim, file=file, href=f"{file}#{claim.anchor}")
