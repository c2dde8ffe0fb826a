"""Devices that the system lists, and what runtimes say of them in processes of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.run import devices
from harness.run.devices import Device, Usable
from harness.run.runtimes import RUNTIMES


def pci(system: Path, *cards: tuple[str, str]) -> Path:
    """A system whose bus lists these classes and vendors."""
    for at, (kind, vendor) in enumerate(cards):
        folder = system / "sys/bus/pci/devices" / f"0000:00:{at:02}.0"
        folder.mkdir(parents=True)
        (folder / "class").write_text(f"{kind}\n")
        (folder / "vendor").write_text(f"{vendor}\n")
    return system


def test_what_the_bus_lists(tmp_path: Path) -> None:
    cards = (
        ("0x020000", "0x1af4"),  # a network card is no device to compute on
        ("0x030200", "0x10de"),
        ("0x120000", "0x8086"),
        ("0x030000", "0x1234"),
    )
    assert devices.hardware(pci(tmp_path, *cards)) == [
        Device("GPU", "NVIDIA"),
        Device("NPU", "Intel"),
        Device("GPU", "PCI vendor 0x1234"),
    ]


def test_a_qualcomm_chip_has_no_bus(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "fastrpc-cdsp").touch()
    assert devices.hardware(tmp_path) == [Device("NPU", "Qualcomm")]


def test_a_card_that_goes_meanwhile(tmp_path: Path) -> None:
    (pci(tmp_path, ("0x030000", "0x10de")) / "sys/bus/pci/devices/0000:00:00.0/class").unlink()
    assert devices.hardware(tmp_path) == []


def test_every_runtime_answers_for_each_of_its_devices() -> None:
    answers = devices.ask(list(RUNTIMES))  # the fakes among them do not say
    assert answers.keys() == devices.ASKED.keys()
    for name in answers:
        assert answers[name].keys() == set(RUNTIMES[name].devices)
        if "cpu" in answers[name]:
            assert answers[name]["cpu"].yes


def answering(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A runtime whose process runs this."""
    monkeypatch.setattr(devices, "_COMMAND", (sys.executable, "-c", code))


def test_a_server_is_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent there: that it answers is not said."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    nowhere = devices.ask(["openai"])["openai"]["server"]
    assert nowhere.yes is None
    assert "set OPENAI_BASE_URL" in nowhere.words
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    named = devices.ask(["openai"])["openai"]["server"]
    assert named == Usable(True, "OPENAI_BASE_URL names loopback")


def test_what_a_library_prints_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, """print("LIBNATIVE: hello"); print('{"cpu": [true, "fine"]}')""")
    assert devices.ask(["onnx"]) == {"onnx": {"cpu": Usable(True, "fine")}}


@pytest.fixture
def anew() -> Iterator[None]:
    """Nothing is remembered of what runtimes said, before or after."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    devices.absent.cache_clear()
    devices._asked.cache_clear()


@pytest.mark.usefixtures("anew")
def test_a_device_is_absent_where_its_runtime_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, """print('{"cuda": [false, "no driver"], "coreml": [true, "here"]}')""")
    assert devices.absent("onnx", "cuda") == "no driver"
    assert devices.absent("onnx", "coreml") is None
    assert devices.absent("onnx", "directml") is None  # of which it said nothing
    answering(monkeypatch, "raise SystemExit('asked again')")
    assert devices.absent("onnx", "cpu") is None
    assert devices.absent("transformers", "cuda") is None


def test_a_driver_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "import time; time.sleep(60)")
    start = time.monotonic()
    found = devices.ask(["onnx", "transformers"], seconds=0.5)
    assert time.monotonic() - start < 10
    assert found["onnx"] == {"": Usable(None, "no answer in 0 seconds")}


def test_a_driver_that_crashes_has_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "raise SystemExit('no such library')")
    found = devices.ask(["onnx"])["onnx"][""]
    assert found == Usable(None, "asking it ended with status 1: no such library")


def test_a_plugin_that_is_here_and_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.so").write_text("no library")
    (tmp_path / "onnxruntime_qnn.py").write_text(
        f"def get_library_path():\n    return {str(tmp_path / 'none.so')!r}\n"
    )
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    found = devices.ask(["onnx"])["onnx"]["npu:qnn"]
    assert found.yes is False
    assert "onnxruntime-qnn: " in found.words
