"""`harness reproduce` from end to end: with SmolLM2, with facts alone, and where figures differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkouts import ROOT, Say, fresh, harness

from harness.ask import claims, models, tasks
from harness.check import records
from harness.check.verdicts import Checker
from harness.commands import reproduce
from harness.judge import judge, reproductions
from harness.plan.planner import Planner
from harness.publish import community
from harness.run.session import Session

SMALL = {
    "page": "smoke",
    "claims": [
        {
            "id": "smoke-small",
            "tool": "SmolLM2-135M-Instruct",
            "who": "a test",
            "quote": "4-bit",
            "kind": "memory",
            "reading": "as it stands",
            "model": "smollm2-135m-instruct",
            "rule": {
                "metric": "anonymous_peak",
                "op": "<=",
                "threshold": 1 << 30,
                "why": "a test",
                "n": 2,
                "conditions": {"quantisation": "Q4_1", "contexts": [256]},
            },
        }
    ],
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which SmolLM2's memory was measured, two short processes."""
    folder = fresh(tmp_path_factory.mktemp("measured"))
    (folder / "claims" / "smoke.yaml").write_text(yaml.safe_dump(SMALL))
    known, rows = claims.load(folder / "claims"), models.load(folder / "models.yaml")
    plan = Planner(rows, {}, {}).plan([known["smoke-small"]])
    assert Session(folder / "results", rows, {}).run(plan.cells) == []
    judge.write(folder / "results", judge.judge(folder / "results", known.values(), rows))
    return folder


@pytest.fixture(scope="module")
def repeated(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, repeated once: a second call finds the runs here and compares."""
    folder = Path(shutil.copytree(measured, tmp_path_factory.mktemp("repeated") / "checkout"))
    reproduced(folder, folder / "results/verdicts/smoke/smoke-small.json")
    return folder


@pytest.fixture
def copy(repeated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repeated, tmp_path / "copy"))


def reproduced(folder: Path, verdict: Path) -> dict[str, Any]:
    done = harness(folder, "reproduce", str(verdict), "--offline", "--json")
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (found["answer"] == "differs")
    return found


def problems(folder: Path) -> list[str]:
    checker = Checker(
        folder / "results", claims.load(folder / "claims"), models.load(folder / "models.yaml")
    )
    found = records.find(folder / "results")
    return [
        str(one)
        for kind, path, results in found
        if kind == "reproduction" and results == (folder / "results").resolve()
        for one in checker.reproduction(path)
    ]


def test_a_measurement_is_repeated_and_changes_no_verdict(copy: Path) -> None:
    verdict = copy / "results/verdicts/smoke/smoke-small.json"
    before = verdict.read_bytes()
    found = reproduced(copy, verdict)
    assert found["answer"] == "reproduced" and found["reasons"] == []
    assert found["finding"]["n"] == 2 and 0.9 < found["difference"]["value"] < 1.1
    assert all(one["path"].startswith("reproductions/") for one in found["finding"]["evidence"])
    assert harness(copy, "judge").returncode == 0
    assert verdict.read_bytes() == before
    path = next((copy / "results/verdicts/smoke/smoke-small").glob("*.json"))
    assert json.loads(path.read_bytes()) == found and path.stem == found["machine"]["id"]
    assert str(copy) not in path.read_text()
    assert problems(copy) == []

    for field, new in (("answer", "differs"), ("difference", None)):
        path.write_text(json.dumps(found | {field: new}))
        assert any("comparison: answer" in one for one in problems(copy))
    finding = found["finding"] | {"estimate": found["finding"]["estimate"] + 1}
    path.write_text(json.dumps(found | {"finding": finding}))
    assert any("finding.estimate" in one for one in problems(copy))


def test_another_figure_differs_with_its_size(copy: Path) -> None:
    """The original claims half the memory; a forgery that `check` passes is found by repeating."""
    verdict = copy / "results/verdicts/smoke/smoke-small.json"
    record = json.loads(verdict.read_bytes())
    finding = record["findings"][0]
    finding["estimate"] /= 2
    for point in finding["series"]:
        point["value"] /= 2
    verdict.write_text(json.dumps(record))
    found = reproduced(copy, verdict)
    assert found["answer"] == "differs"
    assert found["difference"]["value"] == pytest.approx(2, rel=0.1)
    assert found["difference"]["interval"]["low"] > 1.5


def test_another_runtime_is_not_run_at_all(measured: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(measured, tmp_path / "copy"))
    verdict = copy / "results/verdicts/smoke/smoke-small.json"
    record = json.loads(verdict.read_bytes())
    record["findings"][0]["runtime"]["version"] = "0.0.1"
    verdict.write_text(json.dumps(record))
    found = reproduced(copy, verdict)
    assert (found["answer"], found["finding"]) == ("not_comparable", None)
    assert found["reasons"][0].startswith("runtime: llama.cpp 0.0.1 there, ")
    assert not list((copy / "results/reproductions").glob("*/*/run.json"))


def test_facts_are_repeated_without_a_model(verified: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(verified, tmp_path / "copy"))
    for name, outcome in (("002/002-33", "supported"), ("004/004-17-size", "refuted")):
        found = reproduced(folder, folder / f"results/verdicts/{name}.json")
        assert (found["answer"], found["finding"]["outcome"]) == ("reproduced", outcome)
        assert found["difference"] is None
    assert problems(folder) == []
    site = tmp_path / "site"
    assert harness(folder, "publish", "--out", str(site)).returncode == 0
    assert "Repeated on 1 machine: 1 of 1 agree." in (site / "002.html").read_text()
    assert (site / "reproductions/002-33-1.json").exists()


def test_all_items_are_asked_again_where_a_rule_counts_some_of_them() -> None:
    results, known = ROOT / "results", models.load(ROOT / "models.yaml")
    path = results / "verdicts/smoke/smoke-vqa-blur.json"
    verdict = judge.read_file(path)
    (there,) = verdict.findings
    assert (there.n, there.planned) == (60, 60)
    planner = Planner(known, tasks.load(ROOT / "tasks"), {})
    (again,) = reproduce._planned(planner, results, verdict, there)
    assert again.n == 1860


def test_what_was_not_tested_has_nothing_to_repeat(
    verified: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("reproduce", str(verified / "results/verdicts/002/002-13.json")) == 2
    assert "no evidence of any machine to repeat" in capsys.readouterr().err
    assert say("reproduce", str(verified / "results/verdicts/002/002-33.json"), "--machine=x") == 2
    assert say("reproduce", "nowhere.json") == 2


@pytest.fixture(scope="module")
def stored() -> list[Any]:
    return reproductions.read(ROOT / "results", "smoke", "smoke-memory")


def test_machines_add_up(stored: list[Any]) -> None:
    one = stored[0]

    def on(name: str, answer: str, ratio: float | None) -> Any:
        difference = one.difference.model_copy(update={"value": ratio}) if ratio else None
        machine = one.machine.model_copy(update={"id": name})
        changes = {"machine": machine, "answer": answer, "difference": difference}
        return one.model_copy(update=changes)

    found = [on("a", "reproduced", 0.98), on("b", "differs", 1.5), on("c", "not_comparable", None)]
    assert community.of_claim(found) == (
        "Repeated on 3 machines: 1 of 2 agree, 1 more can’t be compared."
        " Figures 0.980 to 1.500 times the first."
    )
    assert community.of_claim([]) is None
    assert "the one that measured first" in (community.of_claim(stored) or "")
