"""The site as a browser shows it, from plain files, in light and dark, narrow and wide."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser

NAMES = ("index", "900", "smoke")
WIDTHS = (360, 800, 1280)


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_quiet_local_and_without_sideways_scrolling(
    browser: Browser, site: Path, width: int, scheme: str
) -> None:
    for name in NAMES:
        size = {"width": width, "height": 800}
        page, trouble = _open(browser, site / f"{name}.html", viewport=size, color_scheme=scheme)
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
