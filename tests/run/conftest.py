"""The real model, runtimes that misbehave, and a cache of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sessions import ENTRIES

from harness import home, prepare
from harness.ask import models
from harness.run.runtimes import RUNTIMES


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M, the real weights; fetched once."""
    model = models.load()["smollm2-135m-instruct"]
    return prepare.prepare(model, model.artifacts[0]).path


@pytest.fixture(autouse=True)
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the fakes under their class names, and lets workers import them."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    for name, entry in ENTRIES.items():
        monkeypatch.setitem(RUNTIMES, name, entry)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, with the wheels that the real one has."""
    wheels, here = home.cache() / "wheels", tmp_path / "cache" / "claimbench"
    here.mkdir(parents=True)
    wheels.mkdir(parents=True, exist_ok=True)
    (here / "wheels").symlink_to(wheels)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here.parent))
    return here
