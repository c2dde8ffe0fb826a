"""A record with one altered digit fails; so does one that leaves something out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.ask import claims, models
from harness.check import runs
from harness.check.problems import Problem
from harness.check.surroundings import Surroundings
from harness.check.verdicts import Checker
from harness.judge import judge
from harness.run import store

ROOT = Path(__file__).parents[2]
CLAIMS = claims.load(ROOT / "claims")
MODELS = models.load(ROOT / "models.yaml")
# One of each statistic that has evidence, one not tested, and one that can't be.
VERDICTS = (
    "smoke/smoke-rate",
    "smoke/smoke-fit",
    "smoke/smoke-kv",
    "smoke/smoke-invents",
    "002/002-01-size",
    "002/002-33",
    "002/002-13",
    "004/004-34",
)
Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout") / "results"
    shutil.copytree(ROOT / "results", folder)
    return folder


@pytest.fixture
def results(stored: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(stored, tmp_path / "results"))


def problems_of(run: Path) -> list[Problem]:
    return runs.check(run, Surroundings(run.parents[1]))


def checker(results: Path) -> Checker:
    return Checker(results, CLAIMS, MODELS)


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*at, name))
    else:
        yield at, value


def changed(value: Any, at: Place, new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inner = copy
    for part in at[:-1]:
        inner = inner[part]
    inner[at[-1]] = new
    return copy


def other_digit(number: float) -> float:
    """`number` with its last written digit turned into the next."""
    text = json.dumps(number)
    new: float = json.loads(text[:-1] + str((int(text[-1]) + 1) % 10))
    return new if new != number else number + 1


def numbers(value: Any) -> Iterator[tuple[Place, Any]]:
    for at, leaf in leaves(value):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            yield at, other_digit(leaf)


def switches_and_texts(value: Any) -> Iterator[tuple[Place, Any]]:
    """Yes for no, and another last letter: of digests, metrics, comparisons, paths, all of them."""
    for at, leaf in leaves(value):
        if isinstance(leaf, bool):
            yield at, not leaf
        elif isinstance(leaf, str) and leaf:
            yield at, leaf[:-1] + ("0" if leaf[-1] != "0" else "1")


@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("alterations", [numbers, switches_and_texts])
def test_each_altered_field_of_a_verdict_is_caught(
    name: str, alterations: Callable[[Any], Iterator[tuple[Place, Any]]], stored: Path
) -> None:
    path = stored / "verdicts" / f"{name}.json"
    whole, check = path.read_bytes(), checker(stored)
    assert check.verdict(path) == []
    record, tried = json.loads(whole), 0
    try:
        for at, new in alterations(record):
            path.write_text(json.dumps(changed(record, at, new)))
            assert check.verdict(path), at
            tried += 1
    finally:
        path.write_bytes(whole)
    assert tried > 0


@pytest.mark.parametrize("name", VERDICTS[:-2])
def test_each_altered_number_of_its_runs_and_samples_is_caught(name: str, stored: Path) -> None:
    record = json.loads((stored / "verdicts" / f"{name}.json").read_bytes())
    tried = 0
    for evidence in (one for finding in record["findings"] for one in finding["evidence"]):
        path = stored / evidence["path"]
        whole = path.read_bytes()
        lines = [json.loads(line) for line in whole.splitlines()] if path.suffix == ".jsonl" else []
        # Of two samples: the others are alike, and one digest covers all.
        document = lines[:2] or json.loads(whole)
        try:
            for at, new in numbers(document):
                altered = changed(document, at, new)
                rest = lines[len(document) :]
                text = [*altered, *rest] if lines else altered
                path.write_text(
                    "".join(json.dumps(line) + "\n" for line in text) if lines else json.dumps(text)
                )
                assert problems_of(path.parent), at
                tried += 1
        finally:
            path.write_bytes(whole)
        assert problems_of(path.parent) == []
    assert tried > 0


def forge(results: Path, name: str, alter: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Samples altered, with every digest above them put right; the figures stay."""
    verdict = results / "verdicts" / f"{name}.json"
    record = json.loads(verdict.read_bytes())
    run_file, sample_file = record["findings"][0]["evidence"][:2]
    path = results / sample_file["path"]
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    alter(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sample_file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    run = json.loads((results / run_file["path"]).read_bytes())
    run["samples_sha256"] = sample_file["sha256"]
    (results / run_file["path"]).write_text(json.dumps(run))
    digest = hashlib.sha256((results / run_file["path"]).read_bytes()).hexdigest()
    run_file["sha256"] = digest
    verdict.write_text(json.dumps(record))
    return verdict


def faster(lines: list[dict[str, Any]]) -> None:
    lines[0]["data"]["repeats"][0]["token_seconds"][0] /= 2


def test_right_digests_do_not_hide_samples_that_give_another_figure(results: Path) -> None:
    found = checker(results).verdict(forge(results, "smoke/smoke-rate", faster))
    assert "findings.0.estimate" in {one.field for one in found}


def test_a_forgery_that_was_judged_again_holds_together(results: Path) -> None:
    """What the check cannot see, said in harness/check/__init__.py: only a repetition tells."""
    path = forge(results, "smoke/smoke-rate", faster)
    pages = [one for one in CLAIMS.values() if one.page == "smoke"]
    judge.write(results, judge.judge(results, pages, MODELS))
    assert checker(results).verdict(path) == []


def stolen(lines: list[dict[str, Any]]) -> None:
    lines[0]["noise"]["steal_share"] = 0.5


def later(lines: list[dict[str, Any]]) -> None:
    lines[1]["started"] = "2026-11-21T00:00:00.000Z"


def lost(lines: list[dict[str, Any]]) -> None:
    del lines[-1]


@pytest.mark.parametrize(
    ("alter", "concern"), [(stolen, "gates"), (later, "dates"), (lost, "counts")]
)
def test_a_run_is_held_against_its_samples(
    alter: Callable[[list[dict[str, Any]]], None], concern: str, results: Path
) -> None:
    path = forge(results, "smoke/smoke-rate", alter)
    assert concern in {one.concern for one in checker(results).verdict(path)}


def test_no_answer_is_both_right_and_right_in_part(results: Path) -> None:
    def both(lines: list[dict[str, Any]]) -> None:
        lines[0]["data"] |= {"correct": True, "partial": 0.5}

    verdict = json.loads(forge(results, "smoke/smoke-invents", both).read_bytes())
    run = (results / verdict["findings"][0]["evidence"][0]["path"]).parent
    assert "is correct, and worth a part" in {one.what for one in problems_of(run)}


def test_a_control_that_is_not_here_vouches_for_nothing(results: Path) -> None:
    for control in results.glob("*/*_control_*"):
        shutil.rmtree(control)
    found = checker(results).verdict(results / "verdicts/smoke/smoke-rate.json")
    assert [one.field for one in found] == ["gates.A/A control"]


def test_a_damaged_control_is_a_complaint_and_not_the_end(results: Path) -> None:
    for control in results.glob("*/*_control_*"):
        (control / "samples.jsonl").write_text("{}\n")
    found = checker(results).verdict(results / "verdicts/smoke/smoke-rate.json")
    assert [one.field for one in found] == ["gates.A/A control"]


def test_a_session_has_its_control_read_once(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of its runs are checked: with the square of them a large store takes hours."""
    read: list[str] = []
    whole = store.read_samples

    def counted(folder: Path) -> Any:
        read.append(folder.name)
        return whole(folder)

    monkeypatch.setattr(store, "read_samples", counted)
    around = Surroundings(stored)
    timed = [one for one in stored.glob("*/*_speed_*") if "_control_" not in one.name]
    assert not [problem for one in timed for problem in runs.check(one, around)]
    controls = [name for name in read if "_control_" in name]
    assert len(timed) > len(controls) == len(set(controls)) > 1


def test_evidence_left_out_is_missed(results: Path) -> None:
    path = results / "verdicts/smoke/smoke-rate.json"
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps(record | {"findings": []}))
    assert "findings" in {one.field for one in checker(results).verdict(path)}


def test_a_rule_changed_after_the_measurement_is_caught(results: Path) -> None:
    path = results / "verdicts/smoke/smoke-rate.json"
    record = json.loads(path.read_bytes())
    for rule in (record["rule"], record["claim"]["rule"]):
        rule["threshold"] = 21
    path.write_text(json.dumps(record))
    found = checker(results).verdict(path)
    assert ("claim", "claim.rule.threshold") in {(one.concern, one.field) for one in found}


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 2, "schema_version": 2}', "null"])
def test_what_is_no_record_fails(text: str, results: Path) -> None:
    verdict = results / "verdicts/smoke/smoke-rate.json"
    run = next(results.glob("*/*/run.json"))
    for path in (verdict, run):
        path.write_text(text)
    assert checker(results).verdict(verdict)[0].concern == "schema"
    assert problems_of(run.parent)[0].concern == "schema and digest"


def test_evidence_outside_the_results_is_not_opened(results: Path) -> None:
    path = results / "verdicts/smoke/smoke-rate.json"
    record = json.loads(path.read_bytes())
    record["findings"][0]["evidence"][0]["path"] = "../outside.json"
    path.write_text(json.dumps(record))
    found = checker(results).verdict(path)
    assert ("../outside.json", "lies outside the results") in {
        (one.field, one.what) for one in found
    }


def test_the_command_says_what_failed(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    path = results / "verdicts/smoke/smoke-size.json"
    assert cli.main(["check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 0
    path.write_text(path.read_text().replace('"n": 1', '"n": 2'))
    assert cli.main(["check", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "smoke/smoke-size.json: judgement: findings.0.n: 2 stored, 1 derived" in shown
    assert shown.endswith("1 records checked, 1 failed\n")
    for nothing in (results / "nowhere.json", ROOT / "docs"):
        assert cli.main(["check", str(nothing)]) == 2
        assert "Traceback" not in capsys.readouterr().err
