from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.run import noise
from harness.run.records import Noise

NOTHING = noise.Counters(
    clock=1.0,
    cpu_total=None,
    steal=None,
    cpu_pressure=None,
    memory_pressure=None,
    throttle_events=None,
    involuntary_switches=0,
)
FULL = noise.Counters(
    clock=10.0,
    cpu_total=1000.0,
    steal=10.0,
    cpu_pressure=1.0,
    memory_pressure=0.5,
    throttle_events=3,
    involuntary_switches=7,
)
LATER = noise.Counters(
    clock=20.0,
    cpu_total=3000.0,
    steal=30.0,
    cpu_pressure=3.0,
    memory_pressure=0.5,
    throttle_events=5,
    involuntary_switches=9,
)


@pytest.fixture
def no_cpu_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(noise, "_CPU", tmp_path)
    return tmp_path


def test_a_difference_is_a_share_of_the_time_that_passed(no_cpu_folder: Path) -> None:
    assert noise.between(FULL, LATER) == {
        "steal_share": 0.01,
        "cpu_pressure_share": 0.2,
        "memory_pressure_share": 0.0,
        "throttle_events": 2,
        "involuntary_switches": 2,
        "mean_mhz": None,
    }


def test_a_counter_that_is_not_there_is_null_and_never_0(no_cpu_folder: Path) -> None:
    found = noise.between(NOTHING, replace(NOTHING, clock=2.0))
    known = Noise.model_validate(found).model_dump()
    assert known.pop("involuntary_switches") == 0
    assert set(known.values()) == {None}


@pytest.mark.parametrize(
    "name", ["cpu_total", "steal", "cpu_pressure", "memory_pressure", "throttle_events"]
)
@pytest.mark.parametrize("side", ["before", "after"])
def test_one_missing_side_is_enough_for_null(name: str, side: str, no_cpu_folder: Path) -> None:
    arms = {"before": FULL, "after": LATER}
    arms[side] = replace(arms[side], **{name: None})
    field = {
        "cpu_total": "steal_share",
        "steal": "steal_share",
        "throttle_events": "throttle_events",
    }.get(name, f"{name}_share")
    assert noise.between(arms["before"], arms["after"])[field] is None


def test_no_time_passed_gives_no_share(no_cpu_folder: Path) -> None:
    found = noise.between(FULL, FULL)
    assert (found["steal_share"], found["cpu_pressure_share"]) == (None, None)


def test_a_folder_without_sensors_shows_nothing(no_cpu_folder: Path) -> None:
    (no_cpu_folder / "cpu0").mkdir()
    assert noise._throttle_events() is None
    assert noise._mean_mhz() is None
    assert noise._pressure("no such resource") is None


@pytest.mark.parametrize("text", ["<unknown>\n", ""])
def test_a_sensor_without_a_number_is_null_and_ends_nothing(text: str, no_cpu_folder: Path) -> None:
    sensor(no_cpu_folder, 0, "cpufreq/scaling_cur_freq", "2000000\n")
    sensor(no_cpu_folder, 1, "cpufreq/scaling_cur_freq", text)
    assert noise.between(FULL, LATER)["mean_mhz"] is None


def test_sensors_are_added_up_over_all_processors(no_cpu_folder: Path) -> None:
    for cpu, count, kilohertz in ((0, 3, 1_000_000), (1, 4, 3_000_000)):
        sensor(no_cpu_folder, cpu, "thermal_throttle/core_throttle_count", f"{count}\n")
        sensor(no_cpu_folder, cpu, "thermal_throttle/package_throttle_count", "1\n")
        sensor(no_cpu_folder, cpu, "cpufreq/scaling_cur_freq", f"{kilohertz}\n")
    assert noise._throttle_events() == 9
    assert noise._mean_mhz() == 2000


def sensor(folder: Path, cpu: int, name: str, text: str) -> None:
    path = folder / f"cpu{cpu}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_can_be_read() -> None:
    before = noise.read()
    until = time.process_time() + 0.05
    while time.process_time() < until:  # ticks pass
        continue
    found = Noise.model_validate(noise.between(before, noise.read()))
    for name, value in asdict(before).items():
        assert value is None or value >= 0, name
    for share in (found.steal_share, found.cpu_pressure_share, found.memory_pressure_share):
        assert share is None or 0 <= share <= 1
