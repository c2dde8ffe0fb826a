"""Which claim a page's words are: as written, as they look, and on whose page."""

from __future__ import annotations

import html

import publish_examples as examples
import pytest

from harness.ask import claims as real_claims
from harness.ask import pages as real_pages
from harness.ask.claims import Claim
from harness.ask.pages import Page
from harness.publish.attach import html_page
from harness.publish.attach.flat import Flat, flat
from harness.publish.attach.recognise import recognise


def claim(name: str, page: str, tool: str, quote: str) -> Claim:
    return examples.claim(name, quote, "identity", tool, untestable="x").model_copy(
        update={"page": page}
    )


SHARED = [
    claim("a-1", "a", "Quill 3B", "a sentence of Quill that nobody else has"),
    claim("a-short", "a", "Quill 3B", "open weights"),
    claim("a-panel", "a", "Quill 3B", "75%\nPanel ship"),
    claim("a-other", "a", "Ember 1.7B", "100%\nPanel ship"),
    claim("b-panel", "b", "Ember 1.7B", "75%\nPanel ship"),
    claim("a-both", "a", "Ember 1.7B", "open weights"),
    claim("b-1", "b", "Ember 1.7B", "a sentence of Ember that nobody else has"),
]


@pytest.mark.parametrize(
    ("text", "hits", "unclear"),
    [
        ("Quill 3B 75% Panel ship", [], [["a-panel"]]),
        (
            "Quill 3B a sentence of Quill that nobody else has 75%\nPanel ship",
            "a-1",
            [["a-panel"]],
        ),
        ("Ember 1.7B a sentence of Quill that nobody else has", [], []),
        (
            "Quill 3B, Ember 1.7B a sentence of Quill that nobody else has. 75% Panel ship",
            "a-1 a-panel",
            [],
        ),
        (
            "Quill 3B, Ember 1.7B a sentence of Quill that nobody else has. open weights",
            "a-1",
            [["a-short", "a-both"]],
        ),
        (
            "Quill 3B, Ember 1.7B, a sentence of Quill that nobody else has, a sentence of Ember "
            "that nobody else has, 100% Panel ship",
            "a-1 b-1",
            [["a-other"]],
        ),
    ],
)
def test_short_and_shared_quotes_need_a_page_that_is_followed(
    text: str, hits: list[str] | str, unclear: list[list[str]]
) -> None:
    found = recognise(text, SHARED)
    assert [hit.claim for hit in found.hits] == (hits.split() if isinstance(hits, str) else hits)
    assert found.unclear == unclear


def test_what_looks_the_same_is_the_same() -> None:
    assert flat("‘a’ “b” c–d—e\u2011f…\u00a0\t g\u00adh") == "'a' \"b\" c-d-e-f... gh"
    made, source = Flat(), "x &amp; y&hellip; <z>"
    made.add(source, 0, len(source), entities=True)
    assert made.text == "x & y... <z>"
    for word, end in (("&", "&amp;"), ("y..", "&hellip;"), ("y...", "&hellip;"), ("<z", "<z")):
        at = made.text.index(word) + len(word)
        assert made.source_end(at) == source.index(end) + len(end), "never inside an entity"


@pytest.mark.parametrize("page", [one for one in real_pages.load().values() if not one.own])
def test_on_a_real_page_every_claim_of_it_is_recognised(page: Page) -> None:
    """But for the two panel scores where they read the same: nothing says whose is whose.

    Page 003 repeats a text of 002, where the claims on it are.
    """
    claims = list(real_claims.load().values())
    text = "".join(f"<p>{html.escape(line)}</p>\n" for line in page.text().splitlines())
    source = html_page._Reader(text, "x").read()
    found = recognise(source.flat.text, claims)
    ours = {one.id for one in claims if one.page == page.id}
    panels = {one.id for one in claims if one.page == page.id and one.kind == "panel score"}
    hits = {one.claim for one in found.hits}
    assert ours - hits <= panels
    told = {one for group in found.unclear for one in group}
    assert ours - hits <= told
    assert {one[:3] for one in (hits | told) - ours} == ({"002"} if page.id == "003" else set())
    assert found.changed == []
