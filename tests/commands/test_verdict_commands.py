"""verify, judge, publish and compare: statuses that a pipeline can act on, rows that are right."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from checkouts import CLAIMS, Say, harness

from harness.commands.verify import _status
from harness.judge.verdicts import Verdict
from harness.plan.cells import Cell
from harness.run import store
from harness.run.records import (
    Applied,
    HarnessRecord,
    Repeat,
    Run,
    Sample,
    SpeedData,
)
from harness.run.runtimes import settings_for


@pytest.fixture
def copy(verified: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(verified, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("claims", "fail_on", "status"),
    [
        (["002-33"], ["refuted", "inconclusive", "invalid"], 0),
        (["004-17-size"], ["refuted"], 1),
        (["004-17-size"], ["inconclusive", "invalid"], 0),
        (["004-17-size"], [], 0),
        (["002-19"], ["inconclusive"], 1),
        (["002-33"], ["refuted"], 0),  # another claim of the checkout is refuted, not asked for
    ],
)
def test_fail_on_is_1_for_what_was_asked(
    claims: list[str], fail_on: list[str], status: int, copy: Path, say: Say
) -> None:
    assert say("verify", *claims, *(f"--fail-on={one}" for one in fail_on)) == status


def test_fail_on_invalid_sees_a_failed_gate(copy: Path) -> None:
    record = json.loads((copy / "results/verdicts/002/002-33.json").read_bytes())
    good = Verdict.model_validate(record)
    record["findings"][0]["gates"][0]["passed"] = False
    bad = Verdict.model_validate(record)
    assert _status([bad], {"002-33"}, ["invalid"]) == 1
    assert _status([bad], {"another"}, ["invalid"]) == 0
    assert _status([bad], {"002-33"}, ["refuted"]) == 0
    assert _status([good], {"002-33"}, ["invalid"]) == 0


def test_judge_names_the_failed_gate(copy: Path, say: Say) -> None:
    path = next((copy / "results").glob("*/*panel*/run.json"))
    run = json.loads(path.read_bytes())
    run["gates"][0]["passed"] = False
    path.write_text(json.dumps(run))
    assert say("judge") == 0
    verdict = json.loads((copy / "results/verdicts/002/002-33.json").read_bytes())
    assert verdict["outcome"] == "inconclusive"
    assert "gate 'samples' failed" in verdict["reason"]


def test_verify_prints_verdicts_alone_to_stdout(verified: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(verified, folder)
    done = harness(folder, "verify", *CLAIMS, "--json")
    outcomes = {one["claim"]["id"]: one["outcome"] for one in json.loads(done.stdout)}
    assert outcomes == dict(zip(CLAIMS, ("inconclusive", "supported", "refuted"), strict=True))
    assert "page: " in done.stderr


def test_judge_repeats_what_verify_said(copy: Path, say: Say) -> None:
    verdicts = copy / "results" / "verdicts"
    before = {path.name: path.read_bytes() for path in verdicts.rglob("*.json")}
    shutil.rmtree(verdicts)
    assert say("judge") == 0
    assert {path.name: path.read_bytes() for path in verdicts.rglob("*.json")} == before


def test_judge_names_a_damaged_file(
    copy: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next((copy / "results").glob("*/*panel*/samples.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"skip"', b'"ship"'))
    assert say("judge") == 2
    shown = capsys.readouterr().err
    assert str(path) in shown and "Traceback" not in shown


def test_publish_needs_verdicts_and_says_so(
    copy: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "results" / "verdicts")
    assert say("publish") == 2
    assert "run: harness judge" in capsys.readouterr().err


def write(folder: Path, name: str, rates: list[float | None], session: str) -> str:
    """A finished run of decode rates; None is a process that crashed."""
    settings = settings_for("llama.cpp", "cpu", threads=1, context=256)
    applied = Applied(settings=settings, weight_buffers={}, kv_bytes=None, runtime_build="b")
    samples = []
    for index, rate in enumerate(rates):
        once = Repeat(
            evaluated_tokens=1,
            prefill_seconds=1.0,
            first_token_seconds=1.0,
            token_seconds=[1 / (rate or 1)] * 4,
        )
        data = SpeedData(applied=applied, load_seconds=1, output=[], warm_up=once, repeats=[once])
        cause = None if rate else "crashed"
        samples.append(
            Sample(index=index, started="", seconds=1, cause=cause, data=data if rate else None)
        )
    run = Run(
        id=name,
        key=hashlib.sha256(name.encode()).hexdigest(),
        machine="laptop",
        session=session,
        arm="measured",
        cell=Cell(workload="speed", model=name),
        settings=settings,
        shape=None,
        planned=len(samples),
        samples=len(samples),
        failed=0,
        started="",
        ended="",
        harness=HarnessRecord(version="0", commit=None, dirty=None),
        runtime=None,
        artifact=None,
        task=None,
        gates=[],
        warnings=[],
        samples_sha256=hashlib.sha256(store.samples_bytes(samples)).hexdigest(),
    )
    place = folder / "results" / "laptop" / name
    store.write_whole(place / "samples.jsonl", store.samples_bytes(samples))
    store.write_whole(place / "run.json", store.to_json(run))
    return name


def test_compare_pairs_by_turn_also_where_one_failed(
    copy: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    above = write(copy, "above", [None, 20.0, 40.0, 80.0], "s")
    below = write(copy, "below", [5.0, 10.0, 20.0, 40.0], "s")
    assert say("compare", above, below) == 0
    row = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("decode_rate")
    )
    assert row.split() == ["decode_rate", "2.0000", "2.0000", "to", "2.0000", "3"]


def test_runs_of_two_sessions_are_not_compared(
    copy: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = write(copy, "one", [1.0, 2.0], "s"), write(copy, "other", [1.0, 2.0], "t")
    assert say("compare", one, other) == 2
    assert "of two sessions" in capsys.readouterr().err


def test_runs_of_different_things_are_not_compared(
    copy: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(copy, "one", [1.0, 2.0], "s")
    panel = next((copy / "results").glob("*/*panel*/run.json")).parent.name
    assert say("compare", one, panel) == 2
    assert "measure different things" in capsys.readouterr().err
