"""Pages: word for word, in the order a reader sees, and stances in the reviewers' own words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.ask import pages
from harness.ask.pages import Page
from harness.errors import BadFile, UnknownName

ROOT = Path(__file__).parents[2]
PAGES = pages.load(ROOT / "pages")
FOUND = [page for page in PAGES.values() if not page.own]

DIGESTS = {
    "000": "1f74632395bfb8e1e243c888528947220e9fcea271045c602c6288bd4360267a",
    "001": "fa310becb18336e09cc85d519344c37e6efbe2b7752052f01c01b96d374f28e3",
    "002": "660cf2b0c48bf3b7e76b49dc692342ac3574b808b0070d5c118ca53713578bb1",
    "003": "4ef2590c2a148a35b611a4bba18d1187109bd00eba0c72bfdc61a9d0f96b35fb",
    "004": "d38d44848e9ca4f883a6ba2c7f5367eba278f62cfa0c6fd654a1c38f98428d5a",
}
"""Of the pages' bytes as they were found, written down apart from the pages themselves."""


def altered(tmp_path: Path, name: str, old: str, new: str) -> Path:
    text = (ROOT / "pages" / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    return tmp_path


def test_found_pages_are_verbatim() -> None:
    assert {page.id: page.text_sha256 for page in FOUND} == DIGESTS
    assert all(page.is_verbatim() for page in FOUND)


def test_a_page_of_ours_has_no_digest() -> None:
    assert PAGES["smoke"].own
    assert PAGES["smoke"].is_verbatim() is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("consumer GPUs", "any GPU"),
        ('printed: "75%"', 'printed: "100%"'),
        ("New AI tools ship daily.", "New AI tools ship daily. "),
        ("narrowly.", "narrowly"),
    ],
)
def test_altered_text_is_refused(tmp_path: Path, old: str, new: str) -> None:
    folder = altered(tmp_path, "002.yaml", old, new)
    with pytest.raises(BadFile, match=r"002\.yaml: text_sha256: the text is not the one"):
        pages.load(folder)


def test_swapped_reviews_are_refused(tmp_path: Path) -> None:
    page = PAGES["004"]
    swapped = page.model_copy(update={"reviews": page.reviews[::-1]})
    assert swapped.is_verbatim() is False


def test_an_unknown_field_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = altered(tmp_path, "002.yaml", "\nscorecard:", "\nscore_card: x\nscorecard:")
    with pytest.raises(BadFile, match=r"002\.yaml:\d+: score_card: "):
        pages.load(folder)


def test_two_pages_with_one_id_are_refused(tmp_path: Path) -> None:
    text = (ROOT / "pages" / "smoke.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(BadFile, match=r"b\.yaml: id: 'smoke' is taken by another page"):
        pages.load(tmp_path)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_stance_quotes_its_review(page: Page) -> None:
    for review in page.reviews:
        assert (review.stance is None) == (review.stance_words is None)
        if review.stance and review.stance_words:
            assert review.stance_words in review.text
            assert re.search(rf"\b{review.stance}", review.stance_words, re.IGNORECASE)


@pytest.mark.parametrize("page", FOUND, ids=lambda page: page.id)
def test_a_review_without_a_stance_says_neither_word_of_itself(page: Page) -> None:
    """`Ship` as another subject's verb (`Gemma ships something`) is no stance."""
    for review in page.reviews:
        if review.stance is None:
            assert not re.search(
                r"(earns (the|a) ship|this ships|\bShip(s|ping)\b|\bSkip\b)", review.text
            )


@pytest.mark.parametrize("page", FOUND, ids=lambda page: page.id)
def test_four_reviewers_speak_on_each_tool(page: Page) -> None:
    for tool in page.tools:
        who = [review.reviewer for review in page.reviews if review.tool == tool.name]
        assert sorted(who) == ["builder", "business", "futurist", "skeptic"]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_review_is_on_a_tool_of_its_page(page: Page) -> None:
    assert {review.tool for review in page.reviews} <= {tool.name for tool in page.tools}


def test_a_source_is_words_and_no_path() -> None:
    assert not any("/" in page.source for page in PAGES.values())


def test_a_page_is_found_by_id_or_the_nearest_is_offered() -> None:
    assert pages.find(PAGES, "002").id == "002"
    with pytest.raises(UnknownName, match="unknown page 'smokes': did you mean smoke"):
        pages.find(PAGES, "smokes")
