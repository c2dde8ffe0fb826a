"""What earlier versions wrote is read as today's; what is no record of theirs is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.run import upgrade
from harness.run.records import ItemData
from harness.run.store import read_run, read_samples

STORED = Path(__file__).parent / "stored"
FLAT = {"threads": 2, "context": 4096, "batch": 512, "mmap": True}
OPTIONS = {"batch": 512, "mmap": True}


def folder(kind: str) -> Path:
    return next(STORED.glob(f"*/*_{kind}_*"))


def test_version_1_had_llama_cpps_settings_side_by_side() -> None:
    path = folder("speed")
    old = json.loads((path / "run.json").read_bytes())
    found = read_run(path).settings
    assert old["schema_version"] == 1 and found is not None
    assert found.flat() == old["settings"] | {"device": "cpu"}
    assert found.threads == old["settings"]["threads"]
    assert found.options["batch"] == old["settings"]["batch"]


def test_version_1_kept_the_device_apart() -> None:
    path = folder("load")
    first = json.loads((path / "samples.jsonl").read_bytes().splitlines()[0])
    data = read_samples(path)[0].data
    assert first["data"]["applied"]["device"] == "cpu"
    assert data is not None and data.kind == "load"
    assert data.applied.settings.device == "cpu"


def test_settings_move_and_nothing_else_changes() -> None:
    run = {"schema_version": 1, "cell": {"device": "cpu"}, "settings": FLAT, "id": "x"}
    wanted = {"device": "cpu", "threads": 2, "context": 4096, "options": OPTIONS}
    assert upgrade.run(run) == run | {"schema_version": 2, "settings": wanted}
    sample = {"index": 0, "data": {"kind": "speed", "applied": {"settings": FLAT, "device": "gpu"}}}
    moved = {"settings": wanted | {"device": "gpu"}}
    assert upgrade.sample(sample, 1) == {"index": 0, "data": {"kind": "speed", "applied": moved}}


def test_items_that_were_right_or_wrong_are_worth_1_or_0() -> None:
    items = [one.data for one in read_samples(folder("bfcl")) if isinstance(one.data, ItemData)]
    assert {(one.value, one.partial) for one in items} <= {(1.0, None), (0.0, None)}
    old = items[0].model_dump() | {"by_other_rules": {"bfcl": True, "lm-eval": False}}
    del old["partial"]
    again = ItemData.model_validate_json(json.dumps(old))
    assert again.by_other_rules == {"bfcl": 1.0, "lm-eval": 0.0}


@pytest.mark.parametrize("partial", [0, 1, -0.1, 1.5])
def test_a_part_is_neither_nothing_nor_the_whole(partial: float) -> None:
    items = [one.data for one in read_samples(folder("bfcl")) if isinstance(one.data, ItemData)]
    with pytest.raises(ValueError, match="partial"):
        ItemData.model_validate(items[0].model_dump() | {"partial": partial})


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"schema_version": 2, "settings": FLAT}, {"schema_version": "1"}]
)
def test_what_is_no_run_of_version_1_is_left_alone(data: Any) -> None:
    assert upgrade.run(data) == data


@pytest.mark.parametrize(
    "data", [None, [], {"data": None}, {"data": []}, {"data": {}}, {"data": {"applied": None}}]
)
def test_a_sample_without_settings_is_left_alone(data: Any) -> None:
    assert upgrade.sample(data, 1) == data


@pytest.mark.parametrize("settings", [None, [], "x"])
def test_settings_of_another_shape_are_left_for_the_record_to_refuse(settings: Any) -> None:
    run = {"schema_version": 1, "cell": None, "settings": settings}
    assert upgrade.run(run)["settings"] == settings
