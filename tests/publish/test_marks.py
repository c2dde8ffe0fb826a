from __future__ import annotations

import publish_examples as examples
from hypothesis import given
from hypothesis import strategies as st

from harness.ask import claims, pages
from harness.publish.marks import _pieces, _Span, fields_of, mark


def _mark(*quotes: str, tool: str = "Quill 3B", who: str = "blurb"):
    made = [
        examples.claim(f"c{at}", quote, "opinion", tool, who=who, untestable="-")
        for at, quote in enumerate(quotes)
    ]
    return mark(examples.page(), made)


def _where(marked, claim: str = "c0") -> list[tuple[str, str]]:
    return [
        (key, piece.text)
        for key, pieces in marked.fields.items()
        for piece in pieces
        if piece.claim == claim
    ]


def test_the_fields_are_the_page() -> None:
    page = examples.page()
    shown = [
        f"“{field.text}”" if field.key.startswith("review") else field.text
        for field in fields_of(page)
        if field.text
    ]
    assert "\n".join(shown) == page.text()


def test_a_quote_within_a_field_is_marked_and_the_text_stays_whole() -> None:
    marked = _mark("released under the Apache 2.0 license")
    found = [("tool.0.description", "released under the Apache 2.0 license")]
    assert _where(marked) == found
    assert "".join(piece.text for piece in marked.fields["tool.0.description"]) == examples.QUILL


def test_a_quote_over_two_fields_is_marked_in_the_first() -> None:
    assert _where(_mark("75%\nPanel ship")) == [("tool.0.panel", "75%")]
    marked = _mark("100%\nPanel ship", tool="Ember 1.7B")
    assert _where(marked) == [("tool.1.panel", "100%")]
    assert _mark("75%\nShip panel").unplaced == ["c0"]


def test_the_speaker_decides_between_equal_words() -> None:
    assert _where(_mark("fits in phone RAM"))[0][0] == "tool.0.tagline"
    assert _where(_mark("fits in phone RAM", who="Builder"))[0][0] == "review.0"


def test_a_quote_in_quotation_marks_is_found() -> None:
    assert _where(_mark("“The primitive is clean", who="Builder"))[0][0] == "review.0"


def test_a_quote_that_is_not_there_is_said_so() -> None:
    assert _mark("never said", "", " \n ").unplaced == ["c0", "c1", "c2"]


def test_overlapping_quotes_keep_a_badge_each() -> None:
    marked = _mark("optimized for edge", "edge and on-device", "edge and on-device")
    pieces = marked.fields["tool.0.description"]
    assert sorted(end for piece in pieces for end in piece.ends) == ["c0", "c1", "c2"]
    assert "".join(piece.text for piece in pieces) == examples.QUILL


@given(
    st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)
)
def test_any_spans_leave_the_text_whole_and_every_claim_one_badge(text, ends) -> None:
    spans = [
        _Span(str(at), *sorted((min(a, len(text)), min(b, len(text)))))
        for at, (a, b) in enumerate(ends)
    ]
    spans = [span for span in spans if span.start < span.end]
    pieces = _pieces(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    badges = sorted(end for piece in pieces for end in piece.ends)
    assert badges == sorted(span.claim for span in spans)


def test_every_claim_of_the_project_is_found_on_its_page() -> None:
    everything = claims.load()
    for page in pages.load().values():
        of_page = [claim for claim in everything.values() if claim.page == page.id]
        assert mark(page, of_page).unplaced == []
