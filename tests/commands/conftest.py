"""A checkout with one small session in it: what a user has after the first `harness verify`."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import CLAIMS, Say, fresh, harness

from harness import cli


@pytest.fixture(scope="session")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with verdicts. Tests that write take a copy."""
    folder = fresh(tmp_path_factory.mktemp("verified"))
    done = harness(folder, "verify", *CLAIMS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def say(
    verified: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Say:
    """Gives a command in the checkout, in this process, with an empty cache."""
    monkeypatch.chdir(verified)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))

    def give(*words: str) -> int:
        try:
            return cli.main(list(words))
        except SystemExit as error:  # argparse's own way out
            return int(error.code or 0)

    return give
