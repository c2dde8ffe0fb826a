"""`harness attach`: evidence from stored verdicts into a page of somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import Say, harness

PAGE = """<!doctype html><title>Mistral 3B</title><p>Mistral 3B: a page of ours.</p>
<div data-claimbench="004-17-size"></div>
<p>Hugging Face Inference Providers v2, <!-- claimbench:002-33 --> and the others.</p>
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_the_page_goes_to_out_and_what_was_done_to_stderr(
    verified: Path, page: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.html"
    done = harness(verified, "attach", "--page", str(page), "--base", "../site", "--out", str(out))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "evidence on 2 claims attached at 2 places\n"
    text = out.read_text(encoding="utf-8")
    assert 'href="../site/verdicts/004-17-size.json"' in text
    assert page.read_text(encoding="utf-8") == PAGE
    again = harness(verified, "attach", "--page", str(out), "--base", "../site")
    assert again.stdout == text, "without --out to stdout, and the same again"


def test_a_page_without_a_claim_comes_back_as_it_is(verified: Path, page: Path) -> None:
    page.write_text("<p>Nothing here.</p>", encoding="utf-8")
    done = harness(verified, "attach", "--page", str(page))
    assert (done.returncode, done.stdout) == (0, "<p>Nothing here.</p>")
    assert "no evidence attached" in done.stderr


def test_quotes_of_other_pages_are_not_looked_for_where_one_is_named(
    verified: Path, page: Path
) -> None:
    page.write_text("<p>SmolLM3, released under Apache 2.0; SmolLM3 75% Panel ship", "utf-8")
    named = harness(verified, "attach", "002", "--page", str(page))
    other = harness(verified, "attach", "004", "--page", str(page))
    assert "002-19" in named.stderr and "002-19" not in other.stderr


def test_the_page_itself_is_never_written(
    page: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("attach", "--page", str(page), "--out", str(page)) == 2
    assert "is the page itself" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == PAGE


def test_a_failed_attachment_leaves_no_file(
    page: Path, say: Say, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page.write_text('<div data-claimbench="004-17-sise"></div>', encoding="utf-8")
    assert say("attach", "--page", str(page), "--out", str(tmp_path / "out.html")) == 2
    assert "did you mean 004-17-size" in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()
