"""The task, its wheel (from the cache, fetched once) and all its items."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import MissingError
from harness.prepare import pypi
from harness.run.tasks import Item, tool_calls

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def task() -> Task:
    return tasks.find(tasks.load(ROOT / "tasks"), "bfcl_simple_python")


@pytest.fixture(scope="session")
def wheel(task: Task) -> Path:
    source = task.source
    try:
        return pypi.fetch_wheel(
            source.package,
            source.version,
            source.wheel,
            source.wheel_sha256,
            wheel_bytes=source.wheel_bytes,
        )
    except MissingError as error:
        pytest.skip(f"needs BFCL's data: {error}")


@pytest.fixture(scope="session")
def items(task: Task, wheel: Path) -> list[Item]:
    return tool_calls.items(task, wheel, task.rows.available)
