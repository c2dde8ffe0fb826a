"""Evidence in other people's pages: at marks and quotes, once, and nothing else is touched."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import publish_examples as examples
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadFile, UnknownName
from harness.judge.verdicts import Verdict
from harness.publish.attach import html_page, pages
from harness.publish.attach.splice import Report
from harness.publish.attach.tokens import tokens

TOOL = "We tried Quill 3B and Ember 1.7B. "
FITS = "It fits in 4GB of memory with room for a 32K context"
BADGE = '<a class="claimbench-badge" href="#claimbench-{}">'
BLOCK = '<article class="claimbench-block" id="claimbench-{}"'

Attach = Callable[[str], tuple[str, Report]]


@pytest.fixture(scope="module")
def attach(verdicts: list[Verdict]) -> Attach:
    """Evidence into an HTML text."""
    fragments, claims = examples.fragments(verdicts), [one.claim for one in verdicts]
    return lambda source: html_page.attach(source, "page.html", claims, fragments)


def _unfinished(source: str) -> str:
    """Everything that is not ours; what is ours is balanced."""
    return re.sub(
        r"<!--claimbench begin [0-9a-f]{16}-->.*?<!--claimbench end-->", "", source, flags=re.S
    )


@pytest.mark.parametrize(
    "words",
    [
        FITS,
        FITS.replace(" ", "\r\n\t"),
        FITS.replace("fits", "<em>fits</em>").replace("32K", "<b>3</b>2K"),
        FITS.replace(" ", "&nbsp;", 2).replace("f", "&#102;", 1),
        FITS.replace("memory", "mem&shy;ory").replace("room", "ro\u200bom"),
        FITS.replace(" of ", "<br>of "),
        f"“{FITS}”.",
        f'<a href="/x">{FITS}</a>',
    ],
)
def test_a_quote_is_recognised_however_it_is_written(attach: Attach, words: str) -> None:
    source = f"<!doctype html><title>x</title><p>{TOOL}{words} and more.</p>"
    text, report = attach(source)
    assert report.places == {"fits-4gb": 1}
    assert text.count(BADGE.format("fits-4gb")) == text.count(BLOCK.format("fits-4gb")) == 1
    assert _unfinished(text) == source


@pytest.mark.parametrize(
    "hidden",
    [
        f"<script>var x = '{FITS}'</script>",
        f"<script><!-- <script> </script> {FITS} --></script>",
        f"<style>/* {FITS} */</style>",
        f"<!-- {FITS} -->",
        f"<! {FITS} >",
        f'<img alt="{FITS}">',
        f"<p title='{FITS}'>",
        f"<template><p>{FITS}</p></template>",
        f"<template><template></template>{FITS}</template>",
        f"<textarea>{FITS}</textarea>",
        f"<title>{FITS}</title>",
        f"<noscript>{FITS}</noscript>",
        f"<select><option>{FITS}</option></select>",
        f"<svg><style>{FITS}</style><text>{FITS}</text></svg>",
        f"<svg><svg></svg>{FITS}</svg>",
        f"<del>{FITS}</del>",
        FITS.replace(" of ", " <del>of</del> "),
        FITS.replace(" of ", "</p><p>of "),
        FITS.replace(" of ", " \u202eof "),
        f"L{FITS[1:]}",
        f"x{FITS}",
        f"{FITS}ual",
        FITS.lower(),
        FITS.replace("It", "&lt;it", 1),
    ],
)
def test_what_the_page_does_not_say_is_left_alone(attach: Attach, hidden: str) -> None:
    source = f"<p>{TOOL}</p>{hidden}"
    text, report = attach(source)
    assert (text, report.places) == (source, {})


def test_attaching_again_changes_no_byte(attach: Attach) -> None:
    source = (
        f"<head></head>\r\n<body><p>{TOOL}{FITS}.\r\n<!-- claimbench:ember-tools --></body>\r\n"
    )
    once, _ = attach(source)
    assert once != source
    assert attach(once)[0] == once
    assert html_page.detach(once, "page.html") == source


def test_newer_verdicts_replace_the_first(attach: Attach, verdicts: list[Verdict]) -> None:
    source = f"<p>{TOOL}{FITS}</p>"
    older, _ = attach(source)
    changed = [
        one.model_copy(update={"outcome": "supported", "reason": "Measured anew."})
        for one in verdicts
    ]
    fragments, claims = examples.fragments(changed), [one.claim for one in changed]
    newer, _ = html_page.attach(older, "page.html", claims, fragments)
    assert newer == html_page.attach(source, "page.html", claims, fragments)[0]
    assert "Measured anew." in newer and "Refuted" not in newer


def test_marks_take_what_they_ask_for(attach: Attach) -> None:
    source = (
        '<div data-claimbench="quill-speed">old</div><p>Also <!-- claimbench:quill-speed --> here, '
        "and <a href=x>there <!--claimbench:ember-tools--></a>."
    )
    text, report = attach(source)
    assert report.places == {"quill-speed": 2, "ember-tools": 1}
    begin = '<div data-claimbench="quill-speed"><!--claimbench begin '
    assert re.match(begin + "[0-9a-f]{16}-->" + BLOCK.format("quill-speed"), text)
    assert text.count(BLOCK.format("quill-speed")) == 1
    assert text.count(BADGE.format("quill-speed")) == 1
    after = text.index("</a>", text.index("there"))
    assert text[after:].startswith("</a><!--claimbench begin"), "no link in a link"
    assert text.index(BLOCK.format("ember-tools")) > text.index("<section"), "at the end"
    assert _unfinished(text) == source


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("\n<!-- claimbench:quill-spead -->", UnknownName, "page.html:2.*quill-speed"),
        ('<div data-claimbench="nobody">', UnknownName, "nobody"),
        ('<p data-claimbench="quill-speed">', BadFile, "page.html:1.*<p>: evidence needs a <div>"),
        ('<a><div data-claimbench="quill-speed"></a>', BadFile, "in a link"),
        ("<!-- claimbench:quill-speed --><script>", BadFile, "<script> never ends"),
        ("<!-- claimbench:quill-speed --><svg>", BadFile, "<svg> never ends"),
        ("<!-- claimbench:quill-speed -->\n<!-- on", BadFile, "page.html:2.*never ends"),
        ("<!-- claimbench:quill-speed --><div a='", BadFile, "<div> never ends"),
        ("<a><!-- claimbench:quill-speed -->", BadFile, "<a> never ends"),
        ("<!--claimbench begin 0123456789abcdef-->", BadFile, "never ends"),
        ("<!--claimbench begin 0123456789abcdef-->x<!--claimbench end-->", BadFile, "by hand"),
    ],
)
def test_where_evidence_cannot_stand_it_says_why(
    attach: Attach, source: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        attach(source)


def test_evidence_changed_by_hand_is_not_thrown_away(attach: Attach) -> None:
    text, _ = attach(f"<p>{TOOL}{FITS}</p>")
    with pytest.raises(BadFile, match=r"page\.html:1: evidence .* changed by hand"):
        attach(text.replace("Refuted", "Supported", 1))


@pytest.mark.parametrize(
    ("here", "told"),
    [
        (FITS.replace("4GB", "8GB"), "“8GB” for “4GB”"),
        (FITS.replace("It fits", "It nearly fits"), "“nearly” is added"),
        (FITS.replace("room for ", "room "), "“for” is missing"),
        (FITS.replace("context", "cache"), "“cache.” for “context”"),
        (FITS.replace("It", "This"), "“This” for “It”"),
    ],
)
def test_one_other_word_is_told_and_carries_no_evidence(
    attach: Attach, here: str, told: str
) -> None:
    page = f"<p>{TOOL}</p>\n<p>{{}}.</p><p>released under the Apache 2.0 license</p>"
    text, report = attach(page.format(here))
    assert report.left == [f"line 2: not the words of claim fits-4gb, “{FITS}”: {told}"]
    assert "fits-4gb" not in report.places
    assert BLOCK.format("fits-4gb") not in text
    attached = "not the words of claim fits-4gb" in text
    assert attached == bool(report.places), "the page says so, too, where it says anything"
    assert attach(page.format(here.replace("room", "place").replace("memory", "RAM")))[1].left == []


def test_tokens_cover_a_broken_page_without_a_gap() -> None:
    source = (
        "<!doctype html><a b='>' c=\"'\" d=e/><p don't><!----><!--><!--->x--><!-- -- --!>"
        "<?php ?></ x><script><!--<script></script>--></script ><sCript></SCRIPT\n><svg/><title>"
        "</title a='></title>'>a < b & c<1</p><svg><![CDATA[</svg>]]></svg><plaintext></plaintext>"
    )
    found = list(tokens(source))
    assert [one.start for one in found] == [0, *(one.end for one in found[:-1])]
    assert found[-1].end == len(source) and not found[-1].whole
    names = [one.name for one in found if one.kind in ("start", "end")]
    assert names == [
        *("a", "p", "script", "script", "script", "script", "svg", "title", "title"),
        *("p", "svg", "svg", "plaintext"),
    ]
    assert found[1].attributes == {"b": ">", "c": "'", "d": "e/"}
    assert "".join(source[one.start : one.end] for one in found if one.kind == "text") == (
        "x-->a < b & c<1"
    )


@pytest.mark.parametrize(
    ("piece", "megabytes"),
    [
        ("\u202eevil words that go on and on\u2066 <b>", 10),
        ("<b><i>", 1),
        ("<!-- ", 1),
        ("<a href='", 1),
        ("<a ", 1),
        ("&amp;…", 1),
        ("<svg><p>", 1),
        ("</title><title>", 1),
        ("<script><!--", 1),
        (f"<p>{FITS[:-7]}", 1),
        ("It fits in ", 1),
        ("  ", 1),
    ],
)
def test_hostile_text_takes_time_by_its_length_and_is_left_alone(
    attach: Attach, piece: str, megabytes: int
) -> None:
    source = f"<p>{TOOL}</p>" + piece * (megabytes * 1_000_000 // len(piece))
    began = time.process_time()
    text, report = attach(source)
    assert time.process_time() - began < 6 * megabytes, "its square would take minutes"
    assert (text == source) and not report.places


def test_hostile_words_of_a_verdict_stay_words(verdicts: list[Verdict]) -> None:
    hostile = "--><script>alert(1)</script><!--claimbench end--></style>\"'\u202e"
    changed = [
        one.model_copy(
            update={
                "reason": hostile,
                "command": hostile,
                "claim": one.claim.model_copy(update={"quote": FITS + " " + hostile}),
            }
        )
        for one in verdicts[:1]
    ]
    source = f"<p><!-- claimbench:{changed[0].claim.id} --></p>"
    fragments, claims = examples.fragments(changed), [one.claim for one in changed]
    text, _ = html_page.attach(source, "x", claims, fragments)
    assert html_page.attach(text, "x", claims, fragments)[0] == text
    assert html_page.detach(text, "x") == source
    assert "<script" not in text and text.isascii()


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("a.txt", b"", r"neither \.html nor \.json"),
        ("a.html", b"\xff\xfea\0", "UTF-16; save it as UTF-8"),
        ("a.html", b'<meta charset="koi8-r">', "declares the encoding koi8-r; save it as UTF-8"),
        ("a.html", b"caf\xe9", r"not utf-8 text \(byte 3\)"),
        ("a.json", b"\xe9", "not utf-8 text"),
        ("a.html", None, "cannot be read: No such file"),
    ],
)
def test_a_page_that_cannot_be_read_is_refused(
    verdicts: list[Verdict], tmp_path: Path, name: str, raw: bytes | None, words: str
) -> None:
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(BadFile, match=words):
        pages.attach(tmp_path / name, [], examples.fragments(verdicts))


@pytest.mark.parametrize(
    "head",
    [
        b"\xef\xbb\xbf" + "é".encode(),
        "é".encode(),
        b"<meta charset=iso-8859-1>\xe9\x93",
        b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">\xe9',
    ],
)
def test_a_page_stays_in_its_encoding(verdicts: list[Verdict], tmp_path: Path, head: bytes) -> None:
    source = head + f"<p>{TOOL}{FITS}</p>".encode()
    (tmp_path / "a.html").write_bytes(source)
    claims = [one.claim for one in verdicts]
    raw, report = pages.attach(tmp_path / "a.html", claims, examples.fragments(verdicts))
    assert report.places == {"fits-4gb": 1}
    assert raw.startswith(source[: source.index(FITS.encode()) + len(FITS)])


PIECES = [
    *("<p>", "</p>", "<a href=x>", "</a>", "<button>", "</button>", "<em>", "</em>", "<br>"),
    *("<table><tr><td>", "</table>", "<select>", "</select>", "<svg>", "</svg>", "<style>"),
    *("</style>", "<script>", "</script>", "<!--", "-->", "--!>", "<template>", "</template>"),
    *("<head>", "</head>", "<body>", "</body>", "<title>", "</title>", "<", "</", "&amp", "'"),
    *('<div data-claimbench="quill-speed">', "</div>", "<!-- claimbench:ember-tools -->"),
    *(TOOL, FITS, f"{FITS}&hellip;", "released under the Apache 2.0 license", "\r\n", '="'),
    *("<!--claimbench end-->", "<![CDATA[", "]]>", "<math>", "</math>", "<h1>", "<li>"),
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_whatever_the_page_it_comes_back_or_is_refused(attach: Attach, pieces: list[str]) -> None:
    source = "".join(pieces)
    try:
        text, report = attach(source)
    except (BadFile, UnknownName):
        return
    assert _unfinished(text) == source
    assert html_page.detach(text, "x") == source
    assert attach(text)[0] == text
    assert (text == source) == (not report.places)
