"""The records in results/: of a real run, whole, and the source of the verdicts beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from harness.ask import claims, models, tasks
from harness.cli import main
from harness.judge import judge, tolerances
from harness.judge.curves import Halving, curves
from harness.judge.parity import parity
from harness.judge.verdicts import Verdict
from harness.run import store
from harness.run.records import ItemData, Sample

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"


def _stored() -> list[Verdict]:
    return judge.read(RESULTS, claims.load(ROOT / "claims").values())


def test_every_run_reads_and_has_the_samples_it_was_written_with() -> None:
    runs = list(store.runs(RESULTS))
    assert runs
    for folder, run in runs:
        samples = store.read_samples(folder)
        assert len(samples) == run.samples
        assert sum(1 for sample in samples if sample.cause) == run.failed
        assert run.machine == folder.parent.name
        assert run.id == folder.name


def test_verdicts_follow_from_the_records_byte_for_byte() -> None:
    known = models.load(ROOT / "models.yaml")
    asked = claims.load(ROOT / "claims").values()
    for verdict in judge.judge(RESULTS, asked, known, tasks.load(ROOT / "tasks")):
        path = RESULTS / "verdicts" / verdict.claim.page / f"{verdict.claim.id}.json"
        assert path.read_bytes() == store.to_json(verdict), f"{path.name}: run harness judge"


def test_every_record_passes_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(RESULTS)]) == 0, capsys.readouterr().out


def test_every_figure_rests_on_evidence_that_is_here() -> None:
    for verdict in _stored():
        for finding in verdict.findings:
            assert finding.evidence
            for evidence in finding.evidence:
                raw = (RESULTS / evidence.path).read_bytes()
                assert hashlib.sha256(raw).hexdigest() == evidence.sha256
            if finding.estimate is not None:
                assert finding.n > 0


def test_synthetic_weights_feed_no_verdict_on_accuracy() -> None:
    for verdict in _stored():
        for finding in verdict.findings:
            if verdict.rule and verdict.rule.conditions.task:
                assert finding.weights == "real"


def test_ten_claims_and_more_have_a_verdict_and_the_machine_is_described() -> None:
    decided = [one for one in _stored() if one.outcome in ("supported", "refuted")]
    assert len(decided) >= 10
    for machine in store.machines(RESULTS):
        assert json.loads((RESULTS / machine.id / "machine.json").read_bytes())["processor"]


def test_the_emulator_answers_as_the_guide_says() -> None:
    """In the runs that came with the repository; a reader's own are beside them."""
    answers = {
        run.cell.device: {one.data.item: one.data.output for one in store.read_samples(folder)}
        for folder, run in store.runs(RESULTS)
        if run.machine == "amd-epyc-2c-24g-c002" and run.samples == 200
        if run.cell.task == "easy_vqa" and run.cell.quantisation in ("fp32", "w8a16")
    }
    assert len(answers["npu:qnn"]) == 200
    assert answers["npu:qnn"] == answers["cpu"]


def test_answers_are_alike_as_the_guide_says() -> None:
    """Text and tools, on three runtimes and eight at once: in the runs of the repository."""
    guide = " ".join((ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split())
    text, tools = _by_runtime("json_answers"), _by_runtime("bfcl_simple_python")
    llama, torch, onnx = (text[name, None] for name in ("llama.cpp", "transformers", "onnx"))
    rounded, alike = parity(llama, torch, ("Q4_1", "Q4_1")), parity(torch, onnx, ("Q4_1", "fp32"))
    offered = parity(tools["transformers", 8], tools["onnx", None], ("Q4_1", "fp32"))
    assert rounded.passed
    assert alike.passed
    assert offered.passed
    assert f"come to {rounded.typically:.2g}" in str(tolerances.__doc__)
    assert f"gives {rounded.same_output} of {rounded.items} answers alike in both" in guide
    assert (
        f"gives {alike.same_output} of {alike.items} as transformers does, and "
        f"{offered.same_output} of {offered.items} where tools are on offer" in guide
    )
    several = parity(llama, text["llama.cpp", 8]), parity(torch, text["transformers", 8])
    other, same = (one.same_output for one in several)
    assert f"transformers gives {same} as one at a time, llama.cpp {other}" in guide


def _by_runtime(task: str) -> dict[tuple[str | None, int | None], list[Sample]]:
    """What SmolLM2 answered to 200 items, by runtime and how many were under way."""
    return {
        (run.cell.runtime, run.cell.parallel): store.read_samples(folder)
        for folder, run in store.runs(RESULTS)
        if run.machine == "amd-epyc-2c-24g-c002" and run.samples == 200
        if run.cell.model == "smollm2-135m-instruct" and run.cell.task == task
    }


def test_pictures_get_worse_as_the_guide_says() -> None:
    """In the runs that came with the repository."""
    guide = " ".join((ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split())
    runs = {
        run.cell.task: store.read_samples(folder)
        for folder, run in store.runs(RESULTS)
        if run.machine == "amd-epyc-2c-24g-c002" and run.cell.model == "smoke-vlm"
    }
    found = {one.name: one for one in curves(runs["easy_vqa_degraded"])}
    clean, dark = (found["low light"].steps[at].share for at in (0, 1))
    told = (
        f"has {clean.value:.1%} of {clean.n} clean questions right, and {dark.value:.1%} with half"
    )
    assert told in guide
    places = {name: one.halving for name, one in found.items() if one.halving}
    assert places.pop("low light") == Halving("1", "1", "1")
    assert places.pop("skew") == Halving(None, "5", None)
    assert set(places) == {"blur", "jpeg", "noise", "low resolution"}
    assert set(places.values()) == {Halving(None, None, None)}
    documents = [one.data for one in runs["documents_degraded"] if isinstance(one.data, ItemData)]
    assert f"of {len(documents)} answers on documents none is right" in guide
    assert not any(one.value for one in documents)
