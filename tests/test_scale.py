"""A fiftieth of 10,000 verdicts and 1,000,000 samples; `scripts/scale` does the whole.

Processor time is bounded, not the clock's: the machine that tests may be busy. A command that took
time with the square of its records would take a fiftieth of what it takes on the whole, and more
than is allowed here.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.judge import judge
from harness.publish import split
from harness.run import store

ROOT = Path(__file__).parent.parent
SHARE = 1 / 50
SECONDS = 10.0
"""A fiftieth of 60 s, a second or two for Python to start, and three times that."""


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    sys.path.append(str(ROOT / "scripts"))
    return runpy.run_path(str(ROOT / "scripts" / "scale"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, script: dict[str, Any]) -> Path:
    folder = tmp_path_factory.mktemp("scale")
    claims, samples = script["scale_records"].write(folder, SHARE)
    assert claims == 200 and samples > 19_000
    return folder


def test_judge_publish_and_check_keep_up(checkout: Path, script: dict[str, Any]) -> None:
    for command in (("judge",), ("publish",), ("check", "results")):
        used = script["cost"](checkout, *command)
        assert used.processor_seconds < SECONDS * (2 if command[0] == "check" else 1), command
        assert used.memory < 256 << 20, command
    for path in (checkout / "site").glob("*.html"):
        assert path.stat().st_size <= split.LIMIT


def test_each_run_is_read_once_for_all_claims(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = store.read_samples

    def counted(folder: Path) -> Any:
        read.append(folder.name)
        return whole(folder)

    monkeypatch.setattr(store, "read_samples", counted)
    monkeypatch.chdir(checkout)
    written: list[Any] = []
    monkeypatch.setattr(judge, "write", lambda results, verdicts: written.extend(verdicts))
    assert main(["judge"]) == 0
    on_tasks = [one for one in written if one.rule and one.rule.conditions.task]
    of_tasks = [name for name in read if "_made_" in name]
    assert len(on_tasks) == 80 and len(of_tasks) == len(set(of_tasks)) < 20
