"""A published site and a browser to read it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import publish_examples as examples
import publish_runs as runs
import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.judge.verdicts import Verdict
from harness.publish import split
from harness.publish.site import publish
from harness.run import store

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    """The realistic set alone."""
    return examples.realistic(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The realistic set, and a page without a verdict. Read only."""
    folder = tmp_path_factory.mktemp("publish")
    verdicts = examples.realistic(folder / "results")
    pages = {"900": examples.page(), "smoke": examples.own_page()}
    publish(pages, verdicts, examples.MACHINES, folder / "results", folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with runs beside it, and the page in as many files as a long one. Read only."""
    folder = tmp_path_factory.mktemp("drawn")
    results = folder / "results"
    runs.everywhere(results)
    runs.records.write(results, runs.ASKED, runs.items())
    judged, stored = runs.judged(results), list(store.runs(results))
    verdicts = [judged, *examples.realistic(results)]  # whose records are runs in name alone
    pages = {"900": examples.page()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "LIMIT", 50_000)
        publish(pages, verdicts, examples.MACHINES, results, folder / "site", stored)
    return folder / "site"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM} is missing, and pages are tested in it: "
            "apt-get update && apt-get install -y chromium"
        )
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()
