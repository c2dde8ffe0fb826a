"""Which claims a text makes, word for word, and which it nearly makes.

A claim is recognised only where its tool is named: the same words on another tool are another
claim. A quote that is short, or that several tools share, counts only on the page that the text
follows: all tools of that page are named, and most quotes are of it. Where that leaves two tools,
nobody can tell which is meant, and the place has to be marked by hand. A quote with one word
changed is looked for on the page that is followed, too; of another it is only another sentence.

Not guaranteed: that the words around a quote agree with it (`nobody says that it fits ..`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.ask.claims import Claim
from harness.publish.attach.flat import flat

_TELLING = 6
"""Words from which on a quote is taken for nobody else's."""
_NEAR = 5
"""Words from which on a quote with one of them changed is still told from another sentence."""

_POINTS = ".,;:!?()\"'"
"""What may follow a word and is not part of it."""


@dataclass(frozen=True)
class Hit:
    """A quote in the text. `end` is the place after it."""

    claim: str
    end: int


@dataclass(frozen=True)
class Changed:
    """A quote of which one word differs. Empty: the word is missing there."""

    claim: str
    end: int
    here: str
    quoted: str


@dataclass(frozen=True)
class Recognised:
    """`unclear`: claims whose quote is there, and who says it of what cannot be told."""

    hits: list[Hit]
    changed: list[Changed]
    unclear: list[list[str]]


def recognise(text: str, claims: Sequence[Claim]) -> Recognised:
    """What of `claims` stands in `text`, which is flat."""
    here = {tool for tool in {claim.tool for claim in claims} if flat(tool) in text}
    named = [claim for claim in claims if claim.tool in here]
    ends = {claim.id: list(_ends(text, claim.quote)) for claim in named}
    shared: dict[str, list[Claim]] = defaultdict(list)
    for claim in named:
        if ends[claim.id]:
            shared[flat(claim.quote)].append(claim)
    followed = _followed(shared, {one.page for one in claims if one.tool not in here})
    meant: list[Claim] = []
    unclear: list[list[str]] = []
    for quote, group in shared.items():
        if len(quote.split()) < _TELLING or len(_tools(group)) > 1:
            group = [claim for claim in group if claim.page == followed] or group
            if group[0].page != followed or len(_tools(group)) > 1:
                unclear.append([claim.id for claim in group])
                continue
        meant += group
    hits = [Hit(claim.id, end) for claim in meant for end in ends[claim.id]]
    missing = [one for one in named if not ends[one.id] and followed in (None, one.page)]
    changed = [near for claim in missing if (near := _changed(text, claim))]
    return Recognised(hits, changed, unclear)


def _tools(claims: list[Claim]) -> set[tuple[str, str]]:
    return {(claim.page, claim.tool) for claim in claims}


def _followed(shared: dict[str, list[Claim]], others: set[str]) -> str | None:
    """The page but `others` that most telling quotes come from; None where two have as many."""
    number = Counter(
        group[0].page
        for quote, group in shared.items()
        if len(quote.split()) >= _TELLING and len(_tools(group)) == 1
    )
    counts = [one for one in number.most_common() if one[0] not in others]
    first, second = [*counts, ("", 0), ("", 0)][:2]
    return first[0] if first[1] > second[1] else None


def _ends(text: str, quote: str) -> Iterator[int]:
    """The ends of `quote` as whole words. Its lines may be lines of the text, or run on."""
    lines = [flat(line) for line in quote.split("\n")]
    for words in dict.fromkeys((" ".join(lines), "\n".join(lines))):
        at = text.find(words) if words.strip() else -1
        while at >= 0:
            end = at + len(words)
            if not _runs_on(text, at) and not _runs_on(text, end):
                yield end
            at = text.find(words, end)


def _runs_on(text: str, at: int) -> bool:
    """Whether `at` lies inside a word."""
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _changed(text: str, claim: Claim) -> Changed | None:
    """One word changed, added or left out leaves one half of a quote whole."""
    words = flat(claim.quote).split(" ")
    if len(words) < _NEAR:
        return None
    half = len(words) // 2
    head, tail = " ".join(words[:half]), " ".join(words[half:])
    room = 2 * len(claim.quote) + 50
    at = text.find(head)
    while at >= 0:
        rest = text[at + len(head) : at + len(head) + room].split()
        if found := _one_apart(rest, words[half:]):
            return Changed(claim.id, at + len(head), *found)
        at = text.find(head, at + 1)
    at = text.find(tail)
    while at >= 0:
        before = text[max(0, at - room) : at].split()[::-1]
        if found := _one_apart(before, words[:half][::-1]):
            return Changed(claim.id, at + len(tail), *found)
        at = text.find(tail, at + 1)
    return None


def _one_apart(here: list[str], quoted: list[str]) -> tuple[str, str] | None:
    """The words at which `here` leaves `quoted`, if the rest of `quoted` follows."""
    found, wanted = ([word.strip(_POINTS) for word in words] for words in (here, quoted))
    pairs = enumerate(zip(found, wanted, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), None)
    if at is None:
        return None
    rest = wanted[at + 1 :]
    if found[at + 1 : at + 2 + len(rest)] == wanted[at:]:
        return here[at], ""
    if found[at + 1 : at + 1 + len(rest)] == rest:
        return here[at], quoted[at]
    if rest and found[at : at + len(rest)] == rest:
        return "", quoted[at]
    return None
