"""The real model, runtimes that misbehave, and a cache of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llamas
import pytest
from sessions import ENTRIES

from harness import home, prepare
from harness.ask import models
from harness.run.runtimes import RUNTIMES, settings_for


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M, the real weights; fetched once."""
    model = models.load()["smollm2-135m-instruct"]
    return prepare.prepare(model, model.artifacts[0]).path


@pytest.fixture(scope="session")
def dequantised(smollm2: Path) -> Any:
    """The same in the runtime `transformers`, in fp32; `_model` is the library's own.

    One for all tests: to read the file takes the library a quarter of a minute.
    """
    from harness.run.runtimes.transformers import Transformers

    found = Transformers()
    found.load(str(smollm2), settings_for("transformers", "cpu", threads=1, context=256))
    found.create_context()
    return found


@pytest.fixture(scope="module", autouse=True)
def freed_with_the_module() -> Iterator[None]:
    with llamas.freed():
        yield


@pytest.fixture(autouse=True)
def freed_with_the_test() -> Iterator[None]:
    with llamas.freed():
        yield


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
