"""Curves on the site: what stands there, what does not, and that a facet's name stays a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import publish_examples as examples
import pytest
from playwright.sync_api import Browser
from publish_runs import ASKED, items, records
from test_site import HOSTILE, read

from harness.errors import BadFile
from harness.judge import judge
from harness.publish import along
from harness.publish.dots import Dot, Dots, draw
from harness.publish.site import publish
from harness.run import store


def put(tmp_path: Path, **changes: Any) -> Path:
    """A site of no page, with the runs of the results beside it."""
    results, out = tmp_path / "results", tmp_path / "site"
    if not results.exists():
        records.write(results, ASKED, items(**changes))
    publish({}, [], examples.MACHINES, results, out, store.runs(results))
    return out


def test_a_run_along_a_facet_has_its_tables_its_halving_and_its_records(tmp_path: Path) -> None:
    out = put(tmp_path)
    text = " ".join(read(out / "curves.html").text.split())
    for words in ("quill on made", "Accuracy under blur", "100.0%", "72.2 to 100.0%", "30.0%"):
        assert words in text
    assert "halved at severity 2; the intervals allow it from severity" in text
    index = read(out / "index.html")
    assert ("a", {"href": "curves.html#run-1"}) in index.elements
    (folder,) = (tmp_path / "results").glob("*/*")
    for name in ("run.json", "samples.jsonl"):
        copied = out / "records" / folder.parent.name / folder.name / name
        assert copied.read_bytes() == (folder / name).read_bytes()


def test_a_claim_that_rests_on_such_a_run_leads_to_it(tmp_path: Path) -> None:
    """Also if it counts one severity alone, which its conditions then say."""
    results, out = tmp_path / "results", tmp_path / "site"
    facets = {"degradation": "blur", "severity": "1"}
    asked = records.claim(
        "answer_accuracy", ">=", 0.4, 30, task="made", tool="Quill 3B", facets=facets
    )
    records.run_all(results, asked, items())
    verdicts = judge.judge(results, [asked], {})
    judge.write(results, verdicts)
    pages = {"900": examples.page()}
    publish(pages, verdicts, [], results, out, store.runs(results))
    (finding,) = verdicts[0].findings
    assert (finding.estimate, finding.n, verdicts[0].outcome) == (0.8, 10, "supported")
    page = read(out / "900.html")
    assert "curves.html#run-1" in [attributes.get("href") for _, attributes in page.elements]
    assert "degradation blur, severity 1" in page.text


def test_without_such_a_run_there_is_no_page(tmp_path: Path) -> None:
    records.write(tmp_path / "results", ASKED, records.items(3, 1))
    out = put(tmp_path)
    assert not (out / "curves.html").exists()
    assert "curves.html" not in (out / "index.html").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"gates": [records.FAILED]},
        {"arm": "control"},
        {"artifact": records.artifact("synthetic")},
    ],
    ids=["invalid", "control", "synthetic"],
)
def test_what_counts_for_no_verdict_is_not_drawn(tmp_path: Path, changes: dict[str, Any]) -> None:
    records.write(tmp_path / "results", ASKED, items(), **changes)
    assert not (put(tmp_path) / "curves.html").exists()


def test_of_two_runs_of_a_cell_the_newest_is_drawn(tmp_path: Path) -> None:
    for day, name in (("02", "fog"), ("03", "dust")):
        records.write(tmp_path, ASKED, items(name=name), started=day)
    (found,) = along.views(store.runs(tmp_path), {})
    assert [one.table.caption for one in found.curves] == ["Accuracy under dust"]


def test_hostile_facets_stay_words(tmp_path: Path) -> None:
    out = put(tmp_path, axis=HOSTILE, name=HOSTILE)
    reader = read(out / "curves.html")
    assert not {"script", "img"} & {tag for tag, _ in reader.elements}
    assert not any(key.startswith("on") for _, a in reader.elements for key in a)
    assert "alert(1)" in reader.text and "{{7*7}}" in reader.text
    assert "\x07" not in (out / "curves.html").read_text()


@pytest.mark.parametrize("name", ["curves", "speeds"])
def test_a_page_cannot_take_the_place_of_runs(tmp_path: Path, name: str) -> None:
    page = examples.page().model_copy(update={"id": name})
    with pytest.raises(BadFile, match="cannot name a file"):
        publish({name: page}, [], [], tmp_path, tmp_path / "site")


DOTS = Dots(
    "Blur",
    "What it shows.",
    "severity",
    (Dot("0", 1.0, 0.9, 1.0), Dot("1", 0.5, 0.4, 0.6)),
    (0.25, "half"),
)


def test_dots_and_intervals_stand_where_their_values_are() -> None:
    root = ElementTree.fromstring(draw(DOTS, "c"))
    dots = [(float(one.get("cx", 0)), float(one.get("cy", 0))) for one in root.iter("circle")]
    assert dots == [(113, 22), (251, 77)]
    spans = [one for one in root.iter("line") if one.get("class") == "ink"]
    ends = [(one.get("x1"), one.get("y1"), one.get("y2")) for one in spans]
    assert ends == [("113", "33", "22"), ("251", "88", "66")]
    (limit,) = (one for one in root.iter("line") if one.get("class") == "limit")
    assert limit.get("y1") == limit.get("y2") == "104.5"
    texts = {one.text for one in root.iter("text")}
    assert texts == {"0%", "50%", "100%", "half", "0", "1", "severity"}


def test_hostile_labels_of_dots_are_text() -> None:
    hostile = Dots(HOSTILE, HOSTILE, HOSTILE, (Dot(HOSTILE, 0.5, 0.4, 0.6),), (0.5, HOSTILE))
    svg = draw(hostile, "c")
    assert "<script" not in svg and "<img" not in svg
    ElementTree.fromstring(svg)


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 1280])
def test_curves_need_no_sideways_scrolling(browser: Browser, tmp_path: Path, width: int) -> None:
    out = put(tmp_path)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((out / "curves.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("svg[role=img]").count() == 1
    page.close()
