"""Where the quotes of claims lie in a page's text, as pieces that a template escapes and links.

Nothing here builds HTML, so no quote can break it. A quote that runs over several fields (`75%`,
then `Panel ship`) is marked in the first. Where quotes overlap, each stretch belongs to the
shortest quote over it, and every quote keeps a badge at its own end.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from harness.ask.claims import Claim
from harness.ask.pages import Page


@dataclass(frozen=True)
class Piece:
    """A stretch of one field. `claim`: whose quote it is; `ends`: the claims whose quote ends."""

    text: str
    claim: str | None = None
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """One field of the page's text, in the order of `Page.text`."""

    key: str
    text: str
    tool: str | None = None
    who: str | None = None


@dataclass(frozen=True)
class Marked:
    """All fields as pieces by key, and the claims whose quote is nowhere in the text."""

    fields: dict[str, list[Piece]]
    unplaced: list[str]


@dataclass(frozen=True)
class _Span:
    claim: str
    start: int
    end: int


def fields_of(page: Page) -> list[Field]:
    """The fields of a page; a test holds them to `Page.text`."""
    fields = [Field(name, getattr(page, name)) for name in ("kicker", "title", "question")]
    for at, tool in enumerate(page.tools):
        texts = {
            "category": tool.category,
            "name": tool.name,
            "tagline": tool.tagline,
            "panel": tool.panel.printed,
            "panel_label": tool.panel.label,
            "community": tool.community,
            "community_label": tool.community_label,
            "price": tool.price,
            "price_label": tool.price_label,
            "description": tool.description,
        }
        fields += [Field(f"tool.{at}.{key}", text, tool.name) for key, text in texts.items()]
    fields.append(Field("scorecard", page.scorecard))
    for at, review in enumerate(page.reviews):
        fields.append(Field(f"review.{at}", review.text, review.tool, review.reviewer))
    return fields + [Field(f"footer.{at}", line) for at, line in enumerate(page.footer)]


def mark(page: Page, claims: list[Claim]) -> Marked:
    """The page's text with each claim's quote marked once, where its tool and speaker say it."""
    fields = fields_of(page)
    spans: dict[str, list[_Span]] = {field.key: [] for field in fields}
    unplaced = []
    for claim in claims:
        found = _find([field for field in fields if field.text], claim)
        if found is None:
            unplaced.append(claim.id)
        else:
            key, start, end = found
            spans[key].append(_Span(claim.id, start, end))
    return Marked({field.key: _pieces(field.text, spans[field.key]) for field in fields}, unplaced)


def _find(fields: list[Field], claim: Claim) -> tuple[str, int, int] | None:
    """Field, start and end of the best place: the claim's own tool and speaker come first."""
    best: tuple[tuple[bool, bool, int], str, int, int] | None = None
    for at, field in enumerate(fields):
        place = _place(fields, at, claim.quote)
        if place is None:
            continue
        rank = (field.tool != claim.tool, field.who != claim.who, at)
        if best is None or rank < best[0]:
            best = (rank, field.key, *place)
    return best[1:] if best else None


def _place(fields: list[Field], at: int, quote: str) -> tuple[int, int] | None:
    text = fields[at].text
    start = text.find(quote) if quote.strip() else -1
    if start >= 0:
        return start, start + len(quote)
    first, *rest = [line.strip("“”") for line in quote.split("\n")]
    if not first.strip():
        return None
    if not rest:
        start = text.find(first)
        return (start, start + len(first)) if start >= 0 else None
    following = [field.text for field in fields[at + 1 : at + 1 + len(rest)]]
    runs_on = len(following) == len(rest) and following[:-1] == rest[:-1]
    if text.endswith(first) and runs_on and following[-1].startswith(rest[-1]):
        return len(text) - len(first), len(text)
    return None


def _pieces(text: str, spans: list[_Span]) -> list[Piece]:
    """`text` cut where a span starts or ends; joined again, the pieces are `text`."""
    cuts = sorted({0, len(text), *(at for span in spans for at in (span.start, span.end))})
    pieces: list[Piece] = []
    for start, end in pairwise(cuts):
        over = [span for span in spans if span.start <= start and end <= span.end]
        owner = min(over, key=lambda span: span.end - span.start).claim if over else None
        ends = tuple(span.claim for span in spans if span.end == end)
        if pieces and owner and pieces[-1].claim == owner and not pieces[-1].ends:
            pieces[-1] = Piece(pieces[-1].text + text[start:end], owner, ends)
        else:
            pieces.append(Piece(text[start:end], owner, ends))
    return pieces
