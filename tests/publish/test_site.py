"""What is written where, and that nothing a page, a model or a record says becomes mark-up."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import publish_examples as examples
import pytest

from harness.ask.pages import Page
from harness.errors import BadFile, UnknownName
from harness.judge.verdicts import Verdict
from harness.publish.site import publish
from harness.run.records import Gate

HOSTILE = "</style></title><script>alert(1)</script>\"><img src=x onerror=alert(1)>{{7*7}}'\x07"
VOID = {"meta", "link", "br", "img", "path", "circle", "use", "rect", "line"}


class Reader(HTMLParser):
    """Elements in order, the text of the page without badges, and what is open at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop()[0] == tag
        if tag in ("p", "li", "h1", "h2", "h3", "td", "th", "blockquote", "dd", "dt"):
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        if not any("badge" in name or tag == "style" for tag, name in self.open):
            self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open, "every element is closed"
    return reader


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def put(tmp_path: Path, verdicts: list[Verdict], page: Page | None = None) -> Path:
    page = page or examples.page()
    out = tmp_path / "site"
    publish({page.id: page}, verdicts, examples.MACHINES, tmp_path / "results", out)
    return out


def test_the_layout(site: Path) -> None:
    found = files(site)
    pages = {name for name in found if name.endswith(".html") and "/" not in name}
    assert pages == {"index.html", "find.html", "900.html", "smoke.html"}
    rows = json.loads(found["index.json"])
    assert {row["path"] for row in rows} == {name for name in found if name.startswith("verdicts/")}
    speed = next(row for row in rows if row["claim"] == "quill-speed")
    assert speed == {
        "claim": "quill-speed",
        "page": "900",
        "quote": "answers at 20 tokens per second on a laptop CPU",
        "outcome": "supported",
        "estimate": "24.1 tokens/s, 23.6 to 24.7 tokens/s (95% interval, n = 8 of 8)",
        "path": "verdicts/quill-speed.json",
    }
    assert next(row for row in rows if row["claim"] == "phone-ram")["estimate"] is None


def test_each_claim_has_a_fragment_whose_links_lead_somewhere(site: Path) -> None:
    claims = {row["claim"] for row in json.loads((site / "index.json").read_bytes())}
    assert {path.stem for path in (site / "fragments").glob("*.html")} == claims
    for path in (site / "fragments").glob("*.html"):
        links = [a["href"] or "" for tag, a in read(path).elements if tag == "a"]
        assert len(links) == 2
        assert all((path.parent / link.partition("#")[0]).is_file() for link in links)
    assert ".claimbench-block" in (site / "fragments" / "claimbench.css").read_text()


def test_stored_verdicts_and_records_are_copied_byte_for_byte(site: Path) -> None:
    results, found = site.parent / "results", files(site)
    for name, body in found.items():
        if name.startswith("verdicts/"):
            assert body == (results / "verdicts" / "900" / Path(name).name).read_bytes()
        if name.startswith("records/"):
            assert body == (results / name.removeprefix("records/")).read_bytes()
    named = {
        f"records/{one['path']}"
        for name, body in found.items()
        if name.startswith("verdicts/")
        for finding in json.loads(body)["findings"]
        for one in finding["evidence"]
    }
    assert named == {name for name in found if name.startswith("records/")}


def test_same_input_same_bytes_anywhere(site: Path, tmp_path: Path) -> None:
    verdicts = examples.realistic(tmp_path / "elsewhere")
    pages = {"900": examples.page(), "smoke": examples.own_page()}
    publish(pages, verdicts, examples.MACHINES, tmp_path / "elsewhere", tmp_path / "other")
    assert files(tmp_path / "other") == files(site)


def test_a_verdict_that_is_gone_leaves_no_file(tmp_path: Path) -> None:
    verdicts = examples.realistic(tmp_path / "results")
    put(tmp_path, verdicts)
    out = put(tmp_path, verdicts[1:2])
    assert [path.name for path in (out / "verdicts").iterdir()] == ["quill-speed.json"]


def test_the_pages_own_text_is_whole(site: Path) -> None:
    said = " ".join(read(site / "900.html").text.split())
    for line in examples.page().text().splitlines():
        assert " ".join(line.split()) in said


@pytest.mark.parametrize(
    "text",
    [
        "42.1 tokens/s",
        "41.2 to 43.0 tokens/s (95% interval, n = 8 of 8)",
        "n = 7 of 8, 1 failed",
        "synthetic weights: valid for memory and speed, not for quality",
        "True if largest context that fits is at least 32,768 tokens.",
        "did not fit: out of memory",
        "AMD Ryzen 7 7840U, 8 cores (16 threads), 32.00 GiB, Debian GNU/Linux 12",
        "llama.cpp b6321",
        "128 prompt tokens, 64 new tokens, 3 times per process",
        "Warning: swap was on",
        "Check failed: A/A control.",
        "can’t be told here",
        "harness verify phone-ram",
        "It speaks of a time that has not come.",
        "Two machines disagree",
        "matches no checkpoint",
        "p = 0.0004 against the threshold",
        "4 March 2026",
        "whether the published document is right",
    ],
)
def test_what_a_reader_finds(site: Path, text: str) -> None:
    assert text in " ".join(read(site / "900.html").text.split())


def test_every_figure_of_synthetic_weights_says_so_beside_it(site: Path) -> None:
    text = (site / "900.html").read_text()
    for figure in ("42.1 tokens/s", "18.3 tokens/s"):
        beside = (
            f'<strong class="figure">{figure}</strong> <span class="synthetic">synthetic weights'
        )
        assert text.count(beside) == 2, "in the answers and in the evidence"
    assert '24.1 tokens/s</strong> <span class="spread">' in text


def test_a_badge_is_a_word_and_an_icon(site: Path) -> None:
    text = (site / "900.html").read_text()
    badges = re.findall(r'<span class="badge (\w+)">(.*?)</span>', text)
    assert len(badges) > 20
    for name, inside in badges:
        assert re.fullmatch(rf'<svg .*#icon-{name}"/></svg>(\d+ )?[A-Za-z ]+', inside)


def test_tables_that_stack_keep_their_roles(site: Path) -> None:
    """Some browsers take the roles from a table whose cells are blocks."""
    for path in site.glob("*.html"):
        stacks = False
        for tag, attributes in read(path).elements:
            stacks = attributes.get("role") == "table" if tag == "table" else stacks
            if stacks and tag in ("thead", "tbody", "tr", "th", "td"):
                assert "role" in attributes, tag


def test_an_own_page_says_so(site: Path) -> None:
    own = read(site / "smoke.html").text
    assert "This project’s own test page" in own
    assert "own test page" in read(site / "index.html").text
    assert "own test page" not in read(site / "900.html").text


def test_the_order_is_the_readers(site: Path) -> None:
    text = read(site / "900.html").text
    questions = ["Does it fit my memory?", "How fast is it?", "Can it call tools?", "may I use it?"]
    places = [text.index(question) for question in questions]
    assert places == sorted(places)


def test_no_script_no_style_attribute_and_a_strict_policy(site: Path) -> None:
    for path in site.glob("*.html"):
        reader = read(path)
        assert not {"iframe", "object", "embed", "form", "base"} & {
            tag for tag, _ in reader.elements
        }
        scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
        assert scripts in ([], [{"type": "application/ld+json"}]), "data, which nothing runs"
        for _, attributes in reader.elements:
            assert not any(name == "style" or name.startswith("on") for name in attributes)
        policy = next(a["content"] for _, a in reader.elements if "http-equiv" in a) or ""
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; img-src 'self' data:; "
            r"base-uri 'none'; form-action 'none'",
            policy,
        )


def test_every_link_leads_somewhere_and_no_id_comes_twice(site: Path) -> None:
    ids = {
        path: [a["id"] for _, a in read(path).elements if "id" in a] for path in site.glob("*.html")
    }
    for path, own in ids.items():
        assert len(own) == len(set(own))
        for tag, attributes in read(path).elements:
            for name in ("aria-labelledby",):
                assert set((attributes.get(name) or "").split()) <= set(own)
            href = attributes.get("href") or ""
            if tag == "link" or href.startswith("https://example.org/"):
                continue
            file, _, anchor = href.partition("#")
            target = (site / unquote(file)) if file else path
            assert target.is_file(), href
            assert not anchor or anchor in ids[target], href


def test_headings_tables_and_language(site: Path) -> None:
    for path in site.glob("*.html"):
        elements = read(path).elements
        levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert dict(elements)["html"]["lang"] == "en"
        tags = [tag for tag, _ in elements]
        assert tags.count("table") == tags.count("caption")
        assert all("scope" in attributes for tag, attributes in elements if tag == "th")
        assert next(a for tag, a in elements if tag == "a")["href"] == "#main"


def _hostile(results: Path) -> tuple[Page, list[Verdict]]:
    """Hostile words in every field that a page, a model or a record can fill."""
    page = examples.page().model_copy(
        update={
            "title": HOSTILE,
            "kicker": HOSTILE,
            "source": f"javascript:{HOSTILE}",
            "tools": [
                tool.model_copy(update={"description": f"before {HOSTILE} after", "name": HOSTILE})
                for tool in examples.page().tools
            ],
        }
    )
    verdicts = []
    for number, made in enumerate([examples.tools(results), examples.memory(results)]):
        found = made.findings[0]
        gates = [Gate(name=HOSTILE, passed=False, detail=HOSTILE)]
        series = [
            point.model_copy(update={"label": HOSTILE, "note": HOSTILE}) for point in found.series
        ]
        runtime = examples.RUNTIME.model_copy(update={"version": HOSTILE})
        changed = {
            "reason": HOSTILE,
            "warnings": [HOSTILE],
            "gates": gates,
            "series": series,
            "runtime": runtime,
            "measured": HOSTILE,
            "machine": ["elsewhere" + HOSTILE, examples.LAPTOP.id][number],
        }
        claim = made.claim.model_copy(
            update={"quote": HOSTILE, "who": HOSTILE, "tool": HOSTILE, "reading": HOSTILE}
        )
        update = {"claim": claim, "findings": [found.model_copy(update=changed)], "reason": HOSTILE}
        assert made.subject
        update["subject"] = made.subject.model_copy(update={"checkpoint": HOSTILE, "note": HOSTILE})
        verdicts.append(made.model_copy(update={**update, "command": HOSTILE, "misses": HOSTILE}))
    return page, examples.store(results, verdicts)


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    page, verdicts = _hostile(tmp_path / "results")
    machine = examples.LAPTOP.model_copy(update={"processor": HOSTILE, "system": HOSTILE})
    out = tmp_path / "site"
    publish({page.id: page}, verdicts, [machine], tmp_path / "results", out)
    for name in ("900.html", "index.html"):
        reader = read(out / name)
        assert "img" not in {tag for tag, _ in reader.elements}
        scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
        assert scripts in ([], [{"type": "application/ld+json"}])
        assert not any(key.startswith("on") for _, a in reader.elements for key in a)
        hrefs = [a.get("href") or "" for _, a in reader.elements]
        assert not any(href.startswith("javascript") for href in hrefs)
        assert "alert(1)" in reader.text and "{{7*7}}" in reader.text
        assert [tag for tag, _ in reader.elements].count("style") == 1
        assert "\x07" not in (out / name).read_text()


def test_evidence_that_changed_is_refused(tmp_path: Path) -> None:
    verdicts = examples.realistic(tmp_path / "results")
    path = tmp_path / "results" / verdicts[0].findings[0].evidence[0].path
    path.write_text("{}")
    with pytest.raises(BadFile, match="has changed since"):
        put(tmp_path, verdicts)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "/etc/passwd", "a/../../secret.json", "page.html", "a b.json", "x.svg"],
)
def test_evidence_is_a_record_below_the_results(tmp_path: Path, name: str) -> None:
    results = tmp_path / "results"
    made = examples.speed(results)
    bad = made.findings[0].evidence[0].model_copy(update={"path": name})
    found = made.findings[0].model_copy(update={"evidence": [bad]})
    verdicts = examples.store(results, [made.model_copy(update={"findings": [found]})])
    with pytest.raises(BadFile, match="no path of a record"):
        put(tmp_path, verdicts)


def test_evidence_behind_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    verdicts = examples.store(tmp_path / "results", [examples.speed(tmp_path / "results")])
    path = tmp_path / "results" / verdicts[0].findings[0].evidence[0].path
    shutil.move(path, tmp_path / "outside.json")
    path.symlink_to(tmp_path / "outside.json")
    with pytest.raises(BadFile, match="outside the results"):
        put(tmp_path, verdicts)


def test_a_verdict_must_be_the_stored_one(tmp_path: Path) -> None:
    (made,) = examples.store(tmp_path / "results", [examples.speed(tmp_path / "results")])
    with pytest.raises(BadFile, match="holds another verdict"):
        put(tmp_path, [made.model_copy(update={"reason": "nicer"})])
    with pytest.raises(BadFile, match="two verdicts on claim"):
        put(tmp_path, [made, made])
    (tmp_path / "results/verdicts/900/quill-speed.json").unlink()
    with pytest.raises(BadFile, match="run harness judge"):
        put(tmp_path, [made])


@pytest.mark.parametrize("name", ["../up", "index", "Index", "find", "a/b", ""])
def test_a_page_id_must_name_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadFile, match="cannot name a file"):
        put(tmp_path, [], examples.page().model_copy(update={"id": name}))


def test_a_verdict_on_an_unknown_page_is_refused(tmp_path: Path) -> None:
    verdicts = examples.store(tmp_path / "results", [examples.speed(tmp_path / "results")])
    with pytest.raises(UnknownName):
        publish({"smoke": examples.own_page()}, verdicts, [], tmp_path / "results", tmp_path / "o")


def test_nothing_measured_is_a_site_too(tmp_path: Path) -> None:
    publish({}, [], [], tmp_path, tmp_path / "site")
    assert "Nothing has been measured yet." in (tmp_path / "site/index.html").read_text()


def _palette(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_enough_in_light_and_dark() -> None:
    css = (Path(examples.__file__).parents[2] / "harness/publish/templates/style.css").read_text()
    light, dark = _palette(css.split("@media")[0]), _palette(css.split("@media")[1])
    assert set(light) == set(dark)
    for colours in (light, dark):
        for ground in ("ground", "card"):
            for text in ("ink", "soft", "link", "limit", "inconclusive"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
            assert contrast(colours["bar"], colours[ground]) >= 3
        assert contrast(colours["ink"], colours["mark"]) >= 7
        assert contrast(colours["bar"], colours["track"]) >= 3
        assert contrast(colours["limit"], colours["track"]) >= 3
        for outcome in ("supported", "refuted", "inconclusive", "not_tested", "not_testable"):
            assert contrast(colours[outcome], colours[f"{outcome}-ground"]) >= 4.5, outcome
            assert contrast(colours[outcome], colours["card"]) >= 4.5, "numbers on shares"
        assert contrast(colours["ink"], colours["inconclusive-ground"]) >= 7
