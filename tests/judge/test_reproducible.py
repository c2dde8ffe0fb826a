"""The same records give the same bytes: elsewhere, later, under another name and language."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import judge_records as records
import pytest

from harness.ask import claims

ROOT = Path(__file__).parents[2]
RATES = (21.37, 20.91, 22.05, 21.5, 21.13, 20.77, 21.98, 21.2)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own claims with records of two machines for a few of them."""
    folder = tmp_path_factory.mktemp("first")
    for name in ("claims", "pages", "tasks"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("models.yaml", "prices.yaml"):
        shutil.copy(ROOT / name, folder)
    known, results = claims.load(folder / "claims"), folder / "results"
    for machine in ("laptop", "board"):
        speeds = [[records.speed(rate, 70) for rate in RATES]] * 2
        records.run_all(results, known["smoke-rate"], speeds[0], machine=machine)
        records.run_all(results, known["002-13"], *speeds, machine=machine)
        items = records.items(37, 63)
        records.run_all(results, known["smoke-tools"], items, machine=machine)
    grown = [[records.memory(at, 23040 * at)] * 3 for at in (2048, 8192)]
    records.run_all(results, known["smoke-kv"], *grown)
    records.run_all(results, known["smoke-size"], [records.facts(134515008, 135000000)])
    tool = known["002-19"].tool
    records.run_all(results, known["002-19"], [records.panel("ship", "ship", None, tool=tool)])
    return folder


def judged(checkout: Path, cwd: Path, **environment: str) -> dict[str, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "judge", "--json"],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    verdicts = checkout / "results" / "verdicts"
    found = {
        path.relative_to(verdicts).as_posix(): path.read_bytes()
        for path in verdicts.rglob("*.json")
    }
    return found | {"stdout": done.stdout}


def test_the_same_records_give_the_same_bytes_anywhere(checkout: Path, tmp_path: Path) -> None:
    first = judged(checkout, checkout, HOME="/root", TZ="UTC", LANG="C.UTF-8", PYTHONHASHSEED="1")
    again = judged(checkout, checkout, HOME="/root", TZ="UTC", LANG="C.UTF-8", PYTHONHASHSEED="2")
    copy = tmp_path / "somewhere else"
    shutil.copytree(checkout, copy)
    shutil.rmtree(copy / "results" / "verdicts")
    elsewhere = judged(
        copy,
        copy / "pages",  # a folder below the checkout
        HOME=str(tmp_path),
        TZ="Pacific/Kiritimati",
        LANG="tr_TR.UTF-8",
        PYTHONHASHSEED="4711",
        PYTHONUTF8="1",
    )
    assert first == again == elsewhere
    known = claims.load(ROOT / "claims")
    assert set(first) == {"stdout"} | {f"{one.page}/{one.id}.json" for one in known.values()}
    outcomes = b'"supported"', b'"refuted"', b'"inconclusive"', b'"not_tested"', b'"not_testable"'
    assert all(outcome in first["stdout"] for outcome in outcomes)


def test_verdicts_name_no_folder_and_nobody(checkout: Path) -> None:
    for text in judged(checkout, checkout, HOME="/home/ada").values():
        assert str(checkout).encode() not in text
        assert b"/home/ada" not in text


def test_evidence_lies_below_results_under_its_digest(checkout: Path) -> None:
    verdict = json.loads(judged(checkout, checkout)["smoke/smoke-rate.json"])
    evidence = [one for finding in verdict["findings"] for one in finding["evidence"]]
    assert len(evidence) == 4
    for one in evidence:
        data = (checkout / "results" / one["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one["sha256"]
