"""The site as a browser shows it, from plain files, in light and dark, narrow and wide."""

from __future__ import annotations

from pathlib import Path

import publish_examples as examples
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from harness.publish import view
from harness.publish.attach import html_page
from harness.publish.attach.fragments import Fragments

pytestmark = pytest.mark.browser

NAMES = ("index", "find", "900", "smoke")
DRAWN = ("index", "curves", "speeds", "900", "900.text", "900.1", "900.2")
"""Of the site that has runs beside its page, and the page in parts."""
WIDTHS = (360, 768, 1280)
FOREIGN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Two models</title>
<meta name="viewport" content="width=device-width">{}</head>
<body><main><h1>Quill 3B and Ember 1.7B</h1>
<p>Quill 3B <em>answers at 20</em> tokens per second on a laptop CPU, and <a href="#x">was released
under the Apache 2.0 license</a>. It fits in 8GB of memory with room for a 32K context.</p>
<div id="x" data-claimbench="ember-speed"></div>
<p>Tools <!-- claimbench:ember-tools --></p></main></body></html>
"""
POLICY = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src {}">'


def _open(browser: Browser, path: Path, **options: object) -> tuple[Page, list[str]]:
    """The page, and everything that went wrong or left the machine while it loaded."""
    context = browser.new_context(reduced_motion="reduce", **options)  # type: ignore[arg-type]
    page, trouble = context.new_page(), []

    def watch(route: Route) -> None:
        if not route.request.url.startswith(("file:", "data:")):
            trouble.append(f"request: {route.request.url}")
        route.continue_()

    page.route("**/*", watch)
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.goto(path.as_uri())
    return page, trouble


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pages of somebody else's with evidence: without a policy, and with two."""
    folder = tmp_path_factory.mktemp("foreign")
    verdicts = examples.realistic(folder / "results")
    machines = {one.id: one for one in examples.MACHINES}
    views = [view.claim(one, machines, []) for one in verdicts]
    policies = {
        "plain": "",
        "dark": "<style>:root { color-scheme: light dark } "
        "body { background: light-dark(#fff, #111); color: light-dark(#000, #fff) }</style>",
        "styled": POLICY.format("'unsafe-inline'"),
        "strict": POLICY.format("'none'"),
    }
    for name, head in policies.items():
        page, claims = FOREIGN.format(head), [one.claim for one in verdicts]
        text, report = html_page.attach(page, name, claims, Fragments(views))
        assert len(report.places) == 4 and len(report.left) == 1
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        *(("site", name) for name in NAMES),
        *(("drawn", name) for name in DRAWN),
        *(("foreign", name) for name in ("plain", "dark")),
    ],
)
def test_axe_finds_nothing(
    browser: Browser, request: pytest.FixtureRequest, folder: str, name: str
) -> None:
    """By all of its rules, with everything that is folded opened."""
    path = request.getfixturevalue(folder) / f"{name}.html"
    for scheme in ("light", "dark"):
        page, trouble = _open(browser, path, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            found = Axe().run(page)
            assert found.violations_count == 0, (width, scheme, found.generate_report())
        assert trouble == []
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_quiet_local_and_without_sideways_scrolling(
    browser: Browser, site: Path, drawn: Path, width: int, scheme: str
) -> None:
    shown = [(site, name) for name in NAMES] + [(drawn, name) for name in DRAWN]
    for folder, name in shown:
        size = {"width": width, "height": 800}
        page, trouble = _open(browser, folder / f"{name}.html", viewport=size, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert trouble == []
        assert len(page.screenshot(full_page=True)) > 10_000
        page.context.close()


def test_light_and_dark_differ_and_charts_follow(browser: Browser, site: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        page, _ = _open(browser, site / "900.html", color_scheme=scheme)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        seen[scheme] = [
            page.evaluate(style.format("body", "backgroundColor")),
            page.evaluate(style.format(".chart text.ink", "fill")),
            page.evaluate(style.format(".chart .bar", "fill")),
        ]
        page.context.close()
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))
    assert seen["light"][0] == "rgb(251, 250, 247)", "the policy lets our own style through"


def test_without_javascript_it_reads_the_same(browser: Browser, site: Path) -> None:
    texts = []
    for enabled in (True, False):
        page, _ = _open(browser, site / "900.html", java_script_enabled=enabled)
        texts.append(page.locator("body").inner_text())
        page.context.close()
    assert texts[0] == texts[1] and "Refuted" in texts[0]


def test_a_mark_leads_to_its_evidence(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "900.html")
    page.locator("#says a.claim", has_text="tool calling").click()
    assert page.url.endswith("#claim-ember-tools")
    assert page.locator("#claim-ember-tools").evaluate(
        "one => Math.abs(one.getBoundingClientRect().top) < 40"
    )


def test_every_link_and_table_has_a_name(browser: Browser, site: Path) -> None:
    for name in NAMES:
        page, _ = _open(browser, site / f"{name}.html")
        tree = page.locator("body").aria_snapshot()
        assert "link ''" not in tree and "- link:" not in tree
        for role in ("table", "img"):
            for one in page.get_by_role(role).all():
                assert one.evaluate("e => (e.caption || e.querySelector('title')).textContent")
        page.context.close()


def test_verdicts_are_words_beside_their_colour(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "900.html")
    for badge in page.locator(".badge").all():
        assert badge.text_content() and badge.locator("svg.icon").count() == 1


def test_narrow_tables_keep_their_roles(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "900.html", viewport={"width": 360, "height": 800})
    answers = page.locator("table.answers")
    assert answers.get_by_role("cell").count() == 2 * 9
    assert page.get_by_role("table", name="Each claim with its verdict").count() == 1


def test_the_keyboard_sees_where_it_is(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "900.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") == 0
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


def test_print_shows_what_is_folded(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "900.html")
    page.emulate_media(media="print")
    row = page.locator("details .pairs").first
    assert row.evaluate("one => one.getBoundingClientRect().height") > 0


def _rows(page: Page) -> set[str]:
    """The claims that the finder shows."""
    links = page.locator("tr.row a:visible").all()
    return {(one.get_attribute("href") or "").partition("#claim-")[2] for one in links}


@pytest.mark.parametrize("script", [True, False])
def test_filters_together_keep_what_matches_all(browser: Browser, site: Path, script: bool) -> None:
    page, trouble = _open(browser, site / "find.html", java_script_enabled=script)
    every = _rows(page)
    assert len(every) == 9
    page.get_by_label("Verdict").select_option("Refuted")
    assert _rows(page) == {"fits-4gb", "ember-tools"}
    page.get_by_label("Kind of claim").select_option("tool calling")
    assert _rows(page) == {"ember-tools"}
    assert page.locator("tr.group:visible").count() == 1, "no heading without a claim"
    page.get_by_label("Machine").select_option("Not measured")
    assert _rows(page) == set()
    for label in ("Verdict", "Kind of claim", "Machine"):
        page.get_by_label(label).select_option("All")
    assert _rows(page) == every
    page.get_by_label("Machine").select_option(index=2)
    assert _rows(page) and _rows(page) < every
    assert trouble == []


def test_filters_work_by_keyboard_in_reading_order(browser: Browser, site: Path) -> None:
    page, _ = _open(browser, site / "find.html")
    page.get_by_role("link", name="Find a claim").focus()
    names = []
    for _ in range(5):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert names == ["filter-outcome", "filter-model", "filter-kind", "filter-machine", "A"]
    page.get_by_label("Verdict").focus()
    page.keyboard.type("Ref")
    assert _rows(page) == {"fits-4gb", "ember-tools"}


def test_evidence_on_a_foreign_page_asks_for_nothing(browser: Browser, foreign: Path) -> None:
    for name in ("plain", "dark", "styled", "strict"):
        page, trouble = _open(browser, foreign / f"{name}.html")
        assert page.locator("script").count() == 0
        block = page.locator("#claimbench-ember-speed")
        assert "Inconclusive" in block.inner_text() and "42.1 tokens/s" in block.inner_text()
        refused = [one for one in trouble if "Content Security Policy" in one]
        assert trouble == refused and bool(refused) == (name == "strict"), trouble
        page.context.close()


def test_evidence_follows_the_scheme_of_the_page_it_stands_in(
    browser: Browser, foreign: Path
) -> None:
    grounds = {}
    for name in ("plain", "dark"):
        page, _ = _open(browser, foreign / f"{name}.html", color_scheme="dark")
        block = page.locator(".claimbench-block").first
        grounds[name] = block.evaluate("one => getComputedStyle(one).backgroundColor")
        page.context.close()
    assert grounds == {"plain": "rgb(255, 255, 255)", "dark": "rgb(28, 30, 33)"}


def test_a_badge_leads_to_its_evidence_by_keyboard(browser: Browser, foreign: Path) -> None:
    page, _ = _open(browser, foreign / "plain.html")
    badge = page.get_by_role("link", name="Supported : latency")
    badge.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#claimbench-quill-speed")
    assert page.locator("#claimbench-quill-speed:target").count() == 1
    inside = page.locator("a a, button a, p article").count()
    assert inside == 0, "the browser had to tear nothing apart"


QUOTE = "answers at 20 tokens per second on a laptop CPU"
BROKEN = (
    f"<p><em>Quill 3B {QUOTE} <b>and <p>more</em> </b><!-- claimbench:ember-tools --> end",
    f"<a href=x>Quill 3B <button>{QUOTE}</a> x</button> y</a><p>z",
    f"<ul><li>Quill 3B {QUOTE}<li><div data-claimbench='ember-tools'><p>x</ul>",
    f"<table><tr><td>Quill 3B {QUOTE}<td data-claimbench='ember-tools'>x<tr><td>y</table>",
    f"<h1>Quill 3B <math><h2>x</h2></math>{QUOTE}</h1><svg><foreignObject><div>x</div>"
    "</foreignObject><style>y</style></svg>z",
    f"</head><p>Quill 3B {QUOTE}</body><p>after</html> <!-- x -->",
    f"<b><i><p>Quill 3B {QUOTE}</b> <div data-claimbench='ember-tools'></i>x</div>",
    f"<select><option>{QUOTE}</select>Quill 3B <script><!--<script></script>--></script>{QUOTE}&",
)
UNPICK = """texts => texts.map(text => {
    const page = new DOMParser().parseFromString(text, 'text/html');
    if (page.querySelector('a a, button a, a button')) return 'links in links';
    for (const one of page.querySelectorAll('[class^=claimbench-]')) one.remove();
    const walker = page.createTreeWalker(page, NodeFilter.SHOW_ALL), ours = [];
    while (walker.nextNode()) {
        const one = walker.currentNode;
        if (one.nodeName === 'STYLE' && one.textContent.includes('.claimbench-')) ours.push(one);
        if (one.nodeName === '#comment' && /^claimbench (begin|end)/.test(one.data)) ours.push(one);
    }
    for (const one of ours) one.remove();
    page.normalize();
    return page.documentElement.outerHTML;
})"""


def test_a_broken_page_is_built_as_if_nothing_had_been_attached(
    browser: Browser, foreign: Path
) -> None:
    verdicts = examples.realistic(foreign / "results")
    views = [view.claim(one, {}, []) for one in verdicts]
    claims, fragments = [one.claim for one in verdicts], Fragments(views)
    page = browser.new_page()
    for source in BROKEN:
        text, report = html_page.attach(source, "x", claims, fragments)
        assert report.places
        before, after = page.evaluate(UNPICK, [source, text])
        assert after == before
    page.close()


def test_evidence_is_printed_whole(browser: Browser, foreign: Path) -> None:
    page, _ = _open(browser, foreign / "plain.html")
    page.emulate_media(media="print")
    blocks = page.locator(".claimbench-block").all()
    assert len(blocks) == 4
    for block in blocks:
        assert block.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
        assert block.locator("dd").first.is_visible()
