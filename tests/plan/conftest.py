"""The project's own claims, models and tasks, and a machine with room and an empty cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.ask import claims, models, tasks
from harness.ask.claims import Claim
from harness.plan import estimate
from harness.plan.planner import Planner

ROOT = Path(__file__).parents[2]
GIB = 1 << 30


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the machine has: `room.disk`, `room.memory`, in bytes."""
    there = SimpleNamespace(disk=1000 * GIB, memory=64 * GIB)
    usage = SimpleNamespace(total=0, used=0)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(**vars(usage), free=there.disk)
    )
    monkeypatch.setattr(estimate, "memory_available", lambda: there.memory)
    return there


@pytest.fixture
def planner(
    room: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Planner]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield Planner(models.load(ROOT / "models.yaml"), tasks.load(ROOT / "tasks"), {})
    assert not (tmp_path / "cache").exists(), "planning wrote to the cache"


@pytest.fixture(scope="session")
def known() -> dict[str, Claim]:
    return claims.load(ROOT / "claims")
