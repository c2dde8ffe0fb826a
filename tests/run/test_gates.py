from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from workers import SETTINGS, TINY, asked

from harness.plan.cells import Cell
from harness.run.gates import control_gate, gates, warnings
from harness.run.records import (
    Applied,
    Gate,
    ItemData,
    LoadData,
    MemoryData,
    Noise,
    Phase,
    Repeat,
    Sample,
    Sampler,
    SpeedData,
)

SHA = "0" * 64
SPEED = Cell(workload="speed", model="m", runtime="llama.cpp", device="cpu")
LOAD = SPEED.model_copy(update={"workload": "load", "page_cache": "cold"})
MEMORY = SPEED.model_copy(update={"workload": "memory"})
ITEMS = Cell(task="t", model="m", runtime="llama.cpp", device="cpu")
QUIET = Noise(
    steal_share=0.0,
    cpu_pressure_share=0.0,
    memory_pressure_share=0.0,
    throttle_events=0,
    involuntary_switches=0,
    mean_mhz=2000.0,
)
BLIND = Noise(
    steal_share=None,
    cpu_pressure_share=None,
    memory_pressure_share=None,
    throttle_events=None,
    involuntary_switches=None,
    mean_mhz=None,
)


def applied(device: str = "cpu", **settings: Any) -> Applied:
    return Applied(
        settings=replace(asked(**settings), device=device),
        weight_buffers={},
        kv_bytes=None,
        runtime_build="",
    )


def speed(
    rate: float = 10.0, output: tuple[int, ...] = (1, 2), evaluated: int = 8, **apply: Any
) -> SpeedData:
    repeat = Repeat(
        evaluated_tokens=evaluated,
        prefill_seconds=1.0,
        first_token_seconds=1.1,
        token_seconds=[1 / rate] * 4,
    )
    return SpeedData(
        applied=applied(**apply),
        load_seconds=1.0,
        output=list(output),
        warm_up=repeat,
        repeats=[repeat],
    )


def load(cached: float, output: tuple[int, ...] = (1, 2)) -> LoadData:
    return LoadData(
        applied=applied(),
        output=list(output),
        cached_before=cached,
        model_seconds=1.0,
        context_seconds=0.1,
    )


def memory(cpu_share: float = 0.001, evaluated: int = 8) -> MemoryData:
    phase = Phase(
        name="load",
        seconds=1.0,
        anonymous_peak=1,
        anonymous_end=1,
        file_end=1,
        resident_peak=None,
        pss_anonymous=None,
        pss_file=None,
        major_faults=0,
    )
    sampler = Sampler(interval_seconds=0.01, polls=9, cpu_share=cpu_share, longest_gap_seconds=0.02)
    return MemoryData(
        applied=applied(),
        output=[1],
        evaluated_tokens=evaluated,
        phases=[phase],
        sampler=sampler,
    )


def item(prompt: int, evaluated: int) -> ItemData:
    return ItemData(
        applied=applied(),
        item="a",
        item_sha256=SHA,
        prompt_sha256=SHA,
        prompt_tokens=prompt,
        evaluated_tokens=evaluated,
        new_tokens=1,
        stopped="end",
        output="",
        outcome="no_call",
        correct=False,
        detail="",
    )


def samples(*data: Any, noise: Noise | None = QUIET) -> list[Sample]:
    """A string instead of data is the cause of a sample that has none."""
    found = []
    for index, one in enumerate(data):
        ended = {"cause": one} if isinstance(one, str) else {"data": one}
        found.append(Sample(index=index, started="", seconds=1.0, noise=noise, **ended))
    return found


def gate(name: str, cell: Cell, taken: list[Sample]) -> Gate:
    shape = None if cell.task else TINY
    (found,) = [one for one in gates(cell, SETTINGS, shape, taken) if one.name == name]
    return found


def noisy(**changes: Any) -> Noise:
    return QUIET.model_copy(update=changes)


TWO = (speed(), speed())
CAPPED = MEMORY.model_copy(update={"memory_limit": 1 << 30})
TABLE: list[tuple[str, Cell, list[Sample], bool | None]] = [
    ("samples", SPEED, samples(*TWO), True),
    ("samples", SPEED, samples(speed(), "crashed"), False),
    ("samples", SPEED, samples(*TWO * 50, "timeout"), True),
    ("samples", SPEED, samples(*TWO * 49, "timeout"), False),
    ("samples", SPEED, [], False),
    ("samples", MEMORY, samples(memory(), "out_of_memory"), False),
    ("samples", CAPPED, samples(memory(), "out_of_memory"), True),
    ("samples", CAPPED, samples(memory(), "crashed"), False),
    ("settings", SPEED, samples(*TWO), True),
    ("settings", SPEED, samples(speed(), speed(threads=64)), False),
    ("settings", SPEED, samples(speed(flash_attention=False)), False),
    ("settings", SPEED, samples("crashed"), None),
    ("device", SPEED, samples(*TWO), True),
    ("device", SPEED, samples(speed(), speed(device="gpu")), False),
    ("device", SPEED, samples("crashed"), None),
    ("evaluated tokens", SPEED, samples(*TWO), True),
    ("evaluated tokens", SPEED, samples(speed(), speed(evaluated=1)), False),
    ("evaluated tokens", SPEED, samples(speed(evaluated=9)), False),
    ("evaluated tokens", MEMORY, samples(memory(evaluated=1)), False),
    ("evaluated tokens", ITEMS, samples(item(50, 50)), True),
    ("evaluated tokens", ITEMS, samples(item(50, 50), item(50, 4)), False),
    ("evaluated tokens", SPEED, samples("crashed"), None),
    ("output", SPEED, samples(*TWO), True),
    ("output", SPEED, samples(speed(), speed(output=(1, 3))), False),
    ("output", LOAD, samples(load(0), load(0, output=(9,))), False),
    ("output", SPEED, samples(speed()), None),
    ("output", SPEED, samples(speed(), "crashed"), None),
    ("steal", SPEED, samples(*TWO), True),
    ("steal", SPEED, samples(*TWO, noise=noisy(steal_share=0.04)), True),
    ("steal", SPEED, samples(*TWO, noise=noisy(steal_share=0.06)), False),
    ("steal", SPEED, samples(*TWO, noise=BLIND), None),
    ("steal", SPEED, samples(*TWO, noise=None), None),
    ("pressure", SPEED, samples(*TWO, noise=noisy(cpu_pressure_share=0.19)), True),
    ("pressure", LOAD, samples(load(0), noise=noisy(cpu_pressure_share=0.21)), False),
    ("pressure", SPEED, samples(*TWO, noise=BLIND), None),
    ("throttling", SPEED, samples(*TWO), True),
    ("throttling", SPEED, samples(*TWO, noise=noisy(throttle_events=1)), False),
    ("throttling", SPEED, samples(*TWO, noise=BLIND), None),
    ("page cache", LOAD, samples(load(0.0), load(0.05)), True),
    ("page cache", LOAD, samples(load(0.0), load(0.06)), False),
    ("page cache", LOAD.model_copy(update={"page_cache": "warm"}), samples(load(0.95)), True),
    ("page cache", LOAD.model_copy(update={"page_cache": "warm"}), samples(load(0.94)), False),
    ("page cache", LOAD, samples("crashed"), None),
]


@pytest.mark.parametrize(
    ("name", "cell", "taken", "passed"),
    TABLE,
    ids=[f"{row[0]}-{row[3]}-{at}".replace(" ", "-") for at, row in enumerate(TABLE)],
)
def test_gate(name: str, cell: Cell, taken: list[Sample], passed: bool | None) -> None:
    found = gate(name, cell, taken)
    assert found.passed is passed
    assert found.detail


@pytest.mark.parametrize("name", sorted({row[0] for row in TABLE}))
def test_each_gate_can_pass_and_can_fail(name: str) -> None:
    assert {True, False} <= {row[3] for row in TABLE if row[0] == name}


def test_the_table_knows_every_gate() -> None:
    known = {row[0] for row in TABLE}
    for cell in (SPEED, LOAD, MEMORY, ITEMS):
        assert {one.name for one in gates(cell, SETTINGS, TINY, [])} <= known


def test_a_settings_gate_names_what_was_asked_and_what_was_got() -> None:
    detail = gate("settings", SPEED, samples(speed(threads=64))).detail
    assert detail == "threads: asked 1, got 64"


def test_a_cell_without_settings_is_judged_by_its_failures_alone() -> None:
    facts = Cell(workload="facts", model="m")
    assert [one.name for one in gates(facts, None, None, samples("crashed"))] == ["samples"]


def arm(seed: int, factor: float, n: int = 10, spread: float = 0.03) -> list[Sample]:
    draw = random.Random(seed)
    return samples(*(speed(factor * 20 * draw.lognormvariate(0, spread)) for _ in range(n)))


def test_identical_arms_with_noise_pass_the_control() -> None:
    """At the 99% level about one seed in a hundred may fail."""
    passed = [control_gate(arm(seed, 1), arm(seed + 1000, 1)).passed for seed in range(200)]
    assert passed.count(False) <= 6
    assert None not in passed


def test_arms_that_differ_by_ten_per_cent_fail_the_control() -> None:
    passed = [control_gate(arm(seed, 1.1), arm(seed + 1000, 1)).passed for seed in range(200)]
    assert passed.count(False) >= 195


def test_the_control_pairs_by_turn_so_that_drift_does_not_fail_it() -> None:
    drift = [20 * 0.97**turn for turn in range(10)]
    draw = random.Random(1)
    arms = [samples(*(speed(r * draw.lognormvariate(0, 0.005)) for r in drift)) for _ in range(2)]
    assert control_gate(*arms).passed


def test_the_control_skips_turns_that_one_arm_lost() -> None:
    whole = arm(1, 1, spread=0.001)
    holed = [
        Sample(index=s.index, started="", seconds=1.0, cause="crashed") if s.index == 4 else s
        for s in arm(2, 1, spread=0.001)
    ]
    found = control_gate(whole, holed)
    assert found.passed is True
    assert "over 9 pairs" in found.detail


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pairs_tell_nothing(n: int) -> None:
    assert control_gate(arm(1, 1, n), arm(2, 1)).passed is None


def test_a_quiet_run_has_no_warnings() -> None:
    assert warnings(SPEED, arm(1, 1)) == []


def test_an_emulated_device_is_a_warning() -> None:
    played = speed().model_copy(
        update={"applied": applied("npu:qnn").model_copy(update={"emulated": True})}
    )
    on_npu = SPEED.model_copy(update={"device": "npu:qnn"})
    (text,) = warnings(on_npu, samples(played, played))
    assert text == "npu:qnn is emulated here: only its answers are the device's own"


@pytest.mark.parametrize("workload", ["facts", "panel", "prices", "calls"])
def test_noise_is_no_reason_to_doubt_what_is_looked_up(workload: Any) -> None:
    taken = samples(speed(), noise=noisy(cpu_pressure_share=1.0))
    assert warnings(SPEED, taken) != []
    assert warnings(Cell(workload=workload), taken) == []


def test_drift_over_a_run_is_a_warning() -> None:
    falling = samples(*(speed(20 - turn) for turn in range(8)))
    (text,) = warnings(SPEED, falling)
    assert "drifted" in text
    assert gate("samples", SPEED, falling).passed


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"steal_share": 0.02}, "stolen CPU time"), ({"cpu_pressure_share": 0.06}, "CPU pressure")],
)
def test_noise_below_its_gate_is_a_warning(changes: dict[str, float], word: str) -> None:
    taken = samples(speed(), speed(), noise=noisy(**changes))
    assert word in warnings(SPEED, taken)[0]
    assert all(one.passed is not False for one in gates(SPEED, SETTINGS, TINY, taken))


def test_a_watch_that_costs_more_than_promised_is_a_warning() -> None:
    """At the median: one sample in which the machine was busy says little of the watch."""
    assert warnings(MEMORY, samples(memory(0.001), memory(0.009), memory(0.5))) == []
    (text,) = warnings(MEMORY, samples(memory(0.001), memory(0.011), memory(0.012)))
    assert "1.10% of one core" in text


def test_what_the_machine_does_not_show_warns_of_nothing() -> None:
    assert warnings(SPEED, samples(speed(), speed(), noise=BLIND)) == []


def test_a_shape_without_repeats_is_no_answer() -> None:
    assert replace(TINY, repeats=0).repeats == 0
    nothing = speed().model_copy(update={"repeats": []})
    assert gate("evaluated tokens", SPEED, samples(nothing)).passed is None
