"""What `harness doctor` says of devices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness import cli
from harness.commands import doctor
from harness.run import devices
from harness.run.devices import Device, Usable

NO_DEVICE = Usable(False, "onnxruntime-qnn is here and finds no device that it could use")


def told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    present: list[Device],
    npu: Usable,
    vulkan: Usable | None = None,
) -> tuple[int, dict[str, Any]]:
    """Exit status and rows by name, where the system has these devices and runtimes say this."""
    answers = {"onnx": {"cpu": Usable(True, "CPU"), "npu:qnn": npu}}
    answers |= {"llama.cpp": {"vulkan": vulkan}} if vulkan else {}
    monkeypatch.setattr(devices, "hardware", lambda: present)
    monkeypatch.setattr(devices, "ask", lambda names: {one: answers.get(one, {}) for one in names})
    monkeypatch.setattr(doctor, "_absent", lambda distributions: False)
    monkeypatch.setattr(doctor, "_packages", list)
    status = cli.main(["doctor", "--json"])
    return status, {row["what"]: row for row in json.loads(capsys.readouterr().out)}


QUALCOMM = Device("NPU", "Qualcomm")


def test_a_provider_that_finds_no_device_where_there_is_one_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = told(monkeypatch, capsys, [QUALCOMM], NO_DEVICE)
    assert status == 3
    assert rows["onnx on npu:qnn"]["here"] is False
    assert rows["onnx on npu:qnn"]["detail"] == NO_DEVICE.words
    assert rows["device: Qualcomm NPU"]["detail"] == "used by no runtime here"


def test_what_the_machine_does_not_have_is_not_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows = told(monkeypatch, capsys, [], NO_DEVICE)
    assert (status, rows["onnx on npu:qnn"]["here"]) == (0, None)
    assert rows["onnx on npu:qnn"]["detail"].startswith("no Qualcomm device seen; ")


@pytest.mark.parametrize("present", [[], [QUALCOMM]])
def test_what_runs_is_here(
    present: list[Device], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An emulator too, on a machine without the device."""
    status, rows = told(monkeypatch, capsys, present, Usable(True, "QNNExecutionProvider"))
    assert (status, rows["onnx on npu:qnn"]["here"]) == (0, True)
    if present:
        assert rows["device: Qualcomm NPU"]["detail"] == "used by onnx as npu:qnn"


@pytest.mark.parametrize("maker", ["AMD", "PCI vendor 0x1234"])
def test_any_gpu_will_do_for_vulkan(
    maker: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = told(monkeypatch, capsys, [Device("GPU", maker)], NO_DEVICE, Usable(False, "build"))
    assert (rows["llama.cpp on vulkan"]["here"], rows["llama.cpp on cuda"]["here"]) == (False, None)
    _, rows = told(monkeypatch, capsys, [Device("GPU", maker)], NO_DEVICE, Usable(True, "a GPU"))
    assert rows[f"device: {maker} GPU"]["detail"] == "used by llama.cpp as vulkan"
    _, rows = told(monkeypatch, capsys, [], NO_DEVICE, Usable(False, "build one"))
    assert rows["llama.cpp on vulkan"]["detail"] == "no GPU seen; build one"


def test_a_runtime_that_does_not_answer_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = told(monkeypatch, capsys, [], NO_DEVICE)
    silent = rows["llama.cpp on cpu"]
    assert (silent["here"], silent["detail"]) == (None, "the runtime does not say")


def test_a_package_that_is_not_here_comes_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_absent", lambda distributions: True)
    words = doctor._words("onnx", "npu:qnn", Usable(False, "no module"))
    assert words == "pip install 'claimbench[qnn]'"
