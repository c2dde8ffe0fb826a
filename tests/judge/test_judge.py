"""Stored runs to verdicts: what counts as evidence, and what machines and claims say together."""

from __future__ import annotations

import builtins
import gc
import socket
import time
from pathlib import Path
from typing import Any

import judge_records as records
import pytest
from judge_records import FAILED, claim, run_all, speed, write

from harness.ask.claims import Claim
from harness.errors import BadFile
from harness.judge import judge
from harness.judge.verdicts import Verdict, parse
from harness.plan.cells import Cell, cells_of

FAST = [speed(rate) for rate in (20.0, 20.2, 19.9, 20.1, 20.0)]
SLOW = [speed(rate) for rate in (2.0, 2.02, 1.99, 2.01, 2.0)]
QUICK = claim("decode_rate", ">=", 5)
SMALL = claim("tool_call_accuracy", ">=", 0.5, 20, task="bfcl_simple_python")
PAIR = claim("decode_ratio", ">=", 1.0, against=["ember", "Q4_0"])
PANEL = claim("panel_share", "==", 1.0, 4)


def one(results: Path, asked: Claim = QUICK) -> Verdict:
    return judge.judge(results, [asked], {})[0]


def cell(asked: Claim = QUICK) -> Cell:
    return cells_of(asked)[0]


def test_a_run_that_meets_the_rule_supports_the_claim(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST)
    verdict = one(tmp_path)
    assert (verdict.outcome, verdict.findings[0].machine) == ("supported", "laptop")
    assert (verdict.findings[0].n, verdict.findings[0].planned) == (5, 5)
    assert [Path(found.path).name for found in verdict.findings[0].evidence] == [
        "run.json",
        "samples.jsonl",
    ]


def test_no_run_is_not_tested_and_says_what_would(tmp_path: Path) -> None:
    verdict = one(tmp_path)
    assert (verdict.outcome, verdict.findings) == ("not_tested", [])
    assert verdict.command == "harness verify 900-1"


def test_a_claim_without_a_rule_is_not_testable(tmp_path: Path) -> None:
    asked = QUICK.model_copy(update={"rule": None, "untestable": "a forecast"})
    verdict = one(tmp_path, asked)
    assert (verdict.outcome, verdict.reason, verdict.command) == (
        "not_testable",
        "a forecast",
        None,
    )


def test_an_invalid_run_is_no_evidence_and_names_its_gate(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, gates=[FAILED])
    verdict = one(tmp_path)
    assert verdict.outcome == "inconclusive"
    assert "gate 'steal' failed (most stolen CPU time 9.00%" in verdict.reason
    assert verdict.findings[0].p_value is None


def test_a_gate_that_cannot_tell_blocks_nothing(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, gates=[FAILED.model_copy(update={"passed": None})])
    assert one(tmp_path).outcome == "supported"


def test_the_newest_valid_run_speaks(tmp_path: Path) -> None:
    write(tmp_path, cell(), SLOW, started="01")
    write(tmp_path, cell(), FAST, started="02")
    assert one(tmp_path).outcome == "supported"
    write(tmp_path, cell(), SLOW, started="03", gates=[FAILED])
    assert one(tmp_path).outcome == "supported"


def test_a_newer_run_that_is_too_short_hides_nothing(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, started="01")
    write(tmp_path, cell(), SLOW[:2], started="02")
    assert one(tmp_path).outcome == "supported"


def test_fewer_samples_than_planned_decide_nothing(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST[:4])
    verdict = one(tmp_path)
    assert (verdict.outcome, verdict.reason) == ("inconclusive", "4 samples of the 5 planned")


def test_samples_beyond_the_planned_n_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, cell(), [*FAST, *SLOW])
    finding = one(tmp_path).findings[0]
    assert (finding.outcome, finding.n) == ("supported", 5)


def test_every_process_that_was_run_has_a_say_in_what_fits(tmp_path: Path) -> None:
    asked = claim("largest_context", ">=", 2048, 1, memory_limit="1GiB", contexts=[2048])
    write(tmp_path, cell(asked), [records.memory(2048), "out_of_memory", "out_of_memory"])
    assert one(tmp_path, asked).outcome == "refuted"


def test_machines_that_disagree_leave_it_open_and_are_named(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, machine="laptop")
    write(tmp_path, cell(), SLOW, machine="board")
    verdict = one(tmp_path)
    assert verdict.outcome == "inconclusive"
    assert verdict.reason == "machines disagree: refuted on board, supported on laptop"


def test_a_machine_that_leaves_it_open_does_not_overrule_another(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, machine="laptop")
    write(tmp_path, cell(), FAST, machine="board", gates=[FAILED])
    verdict = one(tmp_path)
    assert verdict.outcome == "supported"
    assert "other machines left it open" in verdict.reason


def test_machines_never_share_the_cells_of_a_claim(tmp_path: Path) -> None:
    for at, machine in zip(cells_of(PAIR), ("laptop", "board"), strict=True):
        write(tmp_path, at, FAST, machine=machine)
    assert one(tmp_path, PAIR).outcome == "not_tested"


def test_synthetic_weights_say_nothing_of_accuracy(tmp_path: Path) -> None:
    weights = records.artifact("synthetic")
    write(tmp_path, cell(SMALL), records.items(20, 0), artifact=weights)
    verdict = one(tmp_path, SMALL)
    assert (verdict.outcome, verdict.reason) == (
        "inconclusive",
        "synthetic weights say nothing of accuracy",
    )
    write(tmp_path, cell(), FAST, artifact=weights)
    assert one(tmp_path).outcome == "supported"  # of speed they do


@pytest.mark.parametrize("metric", ["decode_rate", "load_time", "anonymous_peak"])
def test_an_emulated_device_says_nothing_of_speed_or_memory(tmp_path: Path, metric: str) -> None:
    data = {"speed": records.speed(100), "load": records.load(1), "memory": records.memory(2048)}
    needs: dict[str, Any] = {
        "load_time": {"page_cache": "cold"},
        "anonymous_peak": {"contexts": [2048]},
    }
    asked = records.claim(metric, ">=", 1e-9, 5, **needs.get(metric, {}))
    (measured,) = cells_of(asked)
    run_all(tmp_path, asked, [played(data[str(measured.workload)])] * 5)
    verdict = one(tmp_path, asked)
    assert (verdict.outcome, verdict.reason) == (
        "inconclusive",
        "an emulated device says nothing of speed or memory",
    )


def test_a_process_tells_nothing_of_a_gpus_memory(tmp_path: Path) -> None:
    for device, outcome in (("cuda", "inconclusive"), ("cpu", "supported")):
        asked = claim("anonymous_peak", "<=", 1 << 40, contexts=[2048], device=device)
        run_all(tmp_path, asked, [records.memory(2048)] * 5)
        verdict = one(tmp_path, asked)
        assert verdict.outcome == outcome
        assert ("neither watched nor limited" in verdict.reason) == (device == "cuda")


def test_an_emulated_device_answers_as_the_real_one(tmp_path: Path) -> None:
    first = played(records.item(True))
    write(tmp_path, cell(SMALL), [first, *records.items(19, 0)])
    assert one(tmp_path, SMALL).outcome == "supported"


def played(data: Any) -> Any:
    """As a run on a device that the processor plays leaves it."""
    applied = records.applied().model_copy(update={"emulated": True})
    return data.model_copy(update={"applied": applied})


def test_a_pair_of_one_session_is_compared(tmp_path: Path) -> None:
    run_all(tmp_path, PAIR, FAST, SLOW)
    assert one(tmp_path, PAIR).outcome == "supported"


def test_arms_of_two_sessions_are_no_pair(tmp_path: Path) -> None:
    first, second = cells_of(PAIR)
    write(tmp_path, first, FAST, session="a")
    write(tmp_path, second, SLOW, session="b")
    verdict = one(tmp_path, PAIR)
    assert verdict.outcome == "inconclusive"
    assert verdict.reason == "the two models were not timed in one session"


def test_arms_of_one_name_and_two_days_are_no_pair(tmp_path: Path) -> None:
    first, second = cells_of(PAIR)
    write(tmp_path, first, FAST, started="01")
    write(tmp_path, second, SLOW, started="02")
    assert one(tmp_path, PAIR).outcome == "inconclusive"


def test_a_session_with_one_bad_arm_does_not_hide_a_good_one(tmp_path: Path) -> None:
    run_all(tmp_path, PAIR, FAST, SLOW, session="a", started="01")
    first, second = cells_of(PAIR)
    write(tmp_path, first, SLOW, session="b", started="02")
    write(tmp_path, second, FAST, session="b", started="02", gates=[FAILED])
    verdict = one(tmp_path, PAIR)
    assert verdict.outcome == "supported"
    run_all(tmp_path, PAIR, SLOW, FAST, session="c", started="03")
    assert one(tmp_path, PAIR).outcome == "refuted"


def test_contexts_of_different_builds_are_not_read_together(tmp_path: Path) -> None:
    asked = claim("largest_context", ">=", 4096, 1, memory_limit="1GiB", contexts=[2048, 4096])
    short, long = cells_of(asked)
    write(tmp_path, short, [records.memory(2048)])
    write(tmp_path, long, [records.memory(4096)], artifact=records.artifact(sha256="1" * 64))
    assert "different runtime versions or artifacts" in one(tmp_path, asked).reason
    write(tmp_path, long, [records.memory(4096)], started="02")
    assert one(tmp_path, asked).outcome == "supported"


def test_a_context_that_was_cut_short_is_not_the_one_asked_for(tmp_path: Path) -> None:
    asked = claim("largest_context", ">=", 9000, 1, memory_limit="1GiB", contexts=[9000])
    cut = records.applied(8192).settings
    write(tmp_path, cell(asked), [records.memory(8192)], settings=cut)
    verdict = one(tmp_path, asked)
    assert verdict.outcome == "inconclusive"
    assert verdict.reason == "asked for a context of 9000, run at 8192"


def test_control_arms_are_no_evidence(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST, arm="control")
    assert one(tmp_path).outcome == "not_tested"


def test_facts_and_panels_hold_on_any_machine(tmp_path: Path) -> None:
    ships, skips = records.panel(*["ship"] * 4), records.panel(*["skip"] * 4)
    write(tmp_path, cell(PANEL), [skips], machine="z", started="01")
    write(tmp_path, cell(PANEL), [ships], machine="a", started="02")
    write(tmp_path, cell(PANEL), [skips], machine="m", started="03", gates=[FAILED])
    verdict = one(tmp_path, PANEL)
    assert (verdict.outcome, len(verdict.findings)) == ("supported", 1)
    assert verdict.findings[0].machine is None


def near(threshold: float, name: str, page: str = "900") -> Claim:
    """A claim whose p alone is about .03."""
    return claim("decode_rate", ">=", threshold, id=name, page=page)


NEAR = [speed(rate) for rate in (20.0, 20.6, 19.9, 20.9, 20.4)]


def test_many_claims_of_a_page_share_one_error_rate(tmp_path: Path) -> None:
    write(tmp_path, cell(), NEAR)
    alone = judge.judge(tmp_path, [near(19.8, "900-1")], {})[0]
    assert alone.outcome == "supported"
    p = alone.findings[0].p_value
    assert p is not None and 0.025 < p < 0.05
    two = judge.judge(tmp_path, [near(19.8, "900-1"), near(19.8, "900-2")], {})
    assert [found.outcome for found in two] == ["inconclusive"] * 2
    assert "among the page's 2 measured claims (Holm)" in two[0].reason
    assert two[0].findings[0].p_value == pytest.approx(2 * p, rel=0.01)


def test_claims_of_other_pages_facts_and_bad_runs_are_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, cell(), NEAR)
    write(tmp_path, cell(PANEL), [records.panel(*["ship"] * 4)])
    run_all(tmp_path, PAIR, NEAR, NEAR[::-1], started="02", gates=[FAILED])
    others = [near(19.8, "901-1", "901"), PANEL, SMALL, PAIR]
    assert judge.judge(tmp_path, [near(19.8, "900-1"), *others], {})[0].outcome == "supported"


def test_sameness_and_difference_go_through_holm_alike(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST)
    asked = [
        claim("decode_rate", "same", 20, id="900-1", margin=0.05),
        claim("decode_rate", "same", 10, id="900-2", margin=0.05),
        claim("decode_rate", ">=", 5, id="900-3"),
    ]
    verdicts = judge.judge(tmp_path, asked, {})
    assert [found.outcome for found in verdicts] == ["supported", "refuted", "supported"]


def test_damaged_samples_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, cell(), FAST) / "samples.jsonl"
    path.write_text(path.read_text().replace("0.05", "0.01"))
    with pytest.raises(BadFile, match=r"samples\.jsonl: not the samples"):
        one(tmp_path)


def test_a_damaged_run_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, cell(), FAST) / "run.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(BadFile, match=r"run\.json"):
        one(tmp_path)


def test_judging_loads_nothing_asks_nobody_and_reads_no_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all(tmp_path, PAIR, FAST, SLOW)
    write(tmp_path, cell(SMALL), records.items(20, 0))
    expected = judge.judge(tmp_path, [PAIR, SMALL], {})

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("the judge looked outside its records")

    real = builtins.__import__

    def no_runtime(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] in ("llama_cpp", "torch", "transformers", "onnxruntime"):
            refuse()
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_runtime)
    monkeypatch.setattr(socket, "socket", refuse)
    for clock in ("time", "time_ns", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, refuse)
    found = judge.judge(tmp_path, [PAIR, SMALL], {})
    monkeypatch.undo()
    assert found == expected


def test_verdicts_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, cell(), FAST)
    verdicts = judge.judge(tmp_path, [QUICK], {})
    paths = judge.write(tmp_path, verdicts)
    assert paths == [tmp_path / "verdicts" / "900" / "900-1.json"]
    assert judge.read(tmp_path, [QUICK]) == verdicts


def test_a_missing_or_broken_verdict_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="run: harness judge"):
        judge.read(tmp_path, [QUICK])
    path = judge.write(tmp_path, judge.judge(tmp_path, [QUICK], {}))[0]
    path.write_text("{}")
    with pytest.raises(BadFile, match=r"900-1\.json"):
        judge.read(tmp_path, [QUICK])


STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))
assert STORED


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_an_old_verdict_stays_readable(path: Path) -> None:
    verdict = parse(path.read_bytes())
    assert verdict.claim.id and verdict.findings
    for finding in verdict.findings:
        assert finding.settings is None or finding.settings.options


def test_the_search_for_cycles_goes_on_after_judging(tmp_path: Path) -> None:
    judge.judge(tmp_path, [QUICK], {})
    assert gc.isenabled()
    with pytest.raises(AttributeError):
        judge.judge(tmp_path, [None], {})  # type: ignore[list-item]
    assert gc.isenabled()
