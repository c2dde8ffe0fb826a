"""A page of very many claims is several files, and nothing of it is lost."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import publish_examples as examples
import pytest
from test_site import put, read

from harness.ask.pages import Page
from harness.judge.verdicts import Verdict
from harness.publish import split

MANY = 2_000


def _page(quotes: list[str]) -> Page:
    page = examples.page()
    first = page.tools[0].model_copy(update={"description": ". ".join(quotes)})
    return page.model_copy(update={"tools": [first, *page.tools[1:]]})


def _verdicts(results: Path, quotes: list[str]) -> list[Verdict]:
    """One measured figure, and otherwise what nobody has tested."""
    asked = examples.rule("decode_rate", ">=", 20.0)
    made = [
        examples.verdict(
            examples.claim(f"many-{at}", quote, "latency", rule=asked), "not_tested", []
        )
        for at, quote in enumerate(quotes)
    ]
    return examples.store(results, [examples.memory(results), *made])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    quotes = [f"claim {at} of what it can do" for at in range(MANY)]
    return put(folder, _verdicts(folder / "results", quotes), _page(quotes))


def test_no_file_is_too_large(many: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in many.glob("*.html")}
    assert max(sizes.values()) <= split.LIMIT, sizes
    assert min(size for name, size in sizes.items() if name.startswith("900.")) > 2_000
    assert len(sizes) > 10


def test_every_claim_has_its_evidence_once_and_a_mark_that_leads_there(many: Path) -> None:
    parts = [path for path in many.glob("900.*.html") if path.name != "900.text.html"]
    anchors = [
        f"{path.name}#{a['id']}"
        for path in parts
        for tag, a in read(path).elements
        if tag == "article"
    ]
    assert len(anchors) == len(set(anchors)) == MANY + 1
    text = read(many / "900.text.html")
    marked = [a["href"] for _, a in text.elements if "brief" in (a.get("class") or "").split()]
    assert set(marked) <= set(anchors)
    assert len(set(marked)) == MANY, "the memory claim's words were replaced"


def test_links_headings_and_reviews_hold_in_every_part(many: Path) -> None:
    ids = {path: {a["id"] for _, a in read(path).elements if "id" in a} for path in _pages(many)}
    for path in _pages(many):
        elements = read(path).elements
        assert [tag for tag, _ in elements].count("h1") == 1
        for tag, a in elements:
            file, _, anchor = (a.get("href") or "").partition("#")
            if tag != "a" or file.startswith("https://"):
                continue
            target = many / unquote(file) if file else path
            assert target.is_file(), file
            assert not anchor or anchor in ids[target], a["href"]
    urls = [
        review["url"]
        for path in many.glob("900.*.html")
        for review in _reviews(path.read_text(encoding="utf-8"))
    ]
    assert len(urls) == 1 and urls[0].partition("#")[0] in {path.name for path in many.iterdir()}


def _pages(many: Path) -> list[Path]:
    return sorted(many.glob("*.html"))


def _reviews(text: str) -> list[dict[str, str]]:
    start = '<script type="application/ld+json">'
    if start not in text:
        return []
    found: list[dict[str, str]] = json.loads(text.partition(start)[2].partition("</script>")[0])[
        "@graph"
    ]
    return found


def test_fragments_link_to_the_part_that_has_the_evidence(many: Path) -> None:
    fragment = (many / "fragments" / "many-1999.html").read_text(encoding="ascii")
    file = fragment.partition('href="../900.')[2].partition("#")[0]
    assert 'id="claim-many-1999"' in (many / f"900.{file}").read_text(encoding="utf-8")


def test_the_index_of_parts_counts_all_claims(many: Path) -> None:
    said = " ".join(read(many / "900.html").text.split())
    assert f"{MANY + 1} claims of this page" in said
    assert "Part 1: Does it fit my memory? How fast is it?" in said


def test_a_page_that_fits_is_one_file(site: Path) -> None:
    assert not list(site.glob("*.*.html"))
    assert '<a href="#claim-quill-speed">' in (site / "900.html").read_text(encoding="utf-8")
