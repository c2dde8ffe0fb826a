"""Evidence in other people's pages of JSON: their layout stays, entries stand beside the texts."""

from __future__ import annotations

import json
from collections.abc import Callable

import publish_examples as examples
import pytest

from harness.errors import BadFile
from harness.judge.verdicts import Verdict
from harness.publish.attach import json_page
from harness.publish.attach.splice import Report

TOOL = "We tried Quill 3B and Ember 1.7B. "
FITS = "It fits in 4GB of memory with room for a 32K context"

Attach = Callable[[str], tuple[str, Report]]


@pytest.fixture(scope="module")
def attach_json(verdicts: list[Verdict]) -> Attach:
    fragments, claims = examples.fragments(verdicts), [one.claim for one in verdicts]
    return lambda source: json_page.attach(source, "page.json", claims, fragments)


JSON = """{
  "title" : "%s",
  "tools": [{"description":"%s, and \\u0034", "note": 1e5, "x": null}],
  "quotes": ["no", ["released under the Apache 2.0 license"]], "evidence": "theirs"
}
"""


def test_json_keeps_its_layout_and_gets_entries(attach_json: Attach) -> None:
    source = JSON.replace(', "evidence": "theirs"', "") % (TOOL, FITS)
    text, report = attach_json(source)
    assert report.places == {"fits-4gb": 1, "quill-licence": 1}
    data = json.loads(text)
    (entry,) = data["tools"][0].pop("evidence")
    assert (entry["by"], entry["claim"], entry["at"]) == ("claimbench", "fits-4gb", "/description")
    assert (entry["outcome"], entry["verdict"]) == ("refuted", "verdicts/fits-4gb.json")
    assert [one["at"] for one in data.pop("evidence")] == ["/quotes/1/0"]
    assert data == json.loads(source)
    assert attach_json(text)[0] == text
    assert json_page.detach(text, "x") == source
    for again in (
        json.dumps(json.loads(text), indent=4),
        json.dumps(json.loads(text), sort_keys=True),
    ):
        assert json.loads(attach_json(again)[0]) == json.loads(text), "laid out by somebody else"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (JSON % (TOOL, FITS), r"page\.json:1: this object has an `evidence` of its own"),
        ('["a text"]', "has no place in a list of texts"),
        ('"a text"', "neither an object nor a list"),
        ('{"a": }', r"page\.json:1: no JSON"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_is_no_page_is_refused(attach_json: Attach, source: str, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        attach_json(source)
