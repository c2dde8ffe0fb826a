"""Which devices this machine has, and which of them each runtime says that it can use.

The devices are what the system lists: the processor, PCI, the interfaces that Qualcomm's and
Apple's chips have instead. A runtime is asked itself, in a short-lived process with a limit of
time: looking loads no library here, and a driver that hangs holds nothing up. Does not guarantee
that a device which is listed works, nor that one on another bus is listed.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_COMMAND = (sys.executable, "-m", "harness.run.devices")
_SECONDS = 60.0
_KINDS = {"03": "GPU", "12": "NPU"}
"""By the first byte of a PCI class: display controllers and processing accelerators."""
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel", "0x17cb": "Qualcomm"}


@dataclass(frozen=True)
class Device:
    """`maker` as it is known, else the number that PCI has for it."""

    kind: str
    maker: str


ANYONE = "any"
NEEDS = {
    "coreml": Device("GPU", "Apple"),
    "cuda": Device("GPU", "NVIDIA"),
    "directml": Device("GPU", ANYONE),
    "metal": Device("GPU", "Apple"),
    "npu:openvino": Device("NPU", "Intel"),
    "npu:qnn": Device("NPU", "Qualcomm"),
    "vulkan": Device("GPU", ANYONE),
}
"""What a device of a runtime stands for; those that every machine has are not here."""


def stands_for(name: str, device: Device) -> bool:
    """Whether a runtime's device of that name can be this one of the machine's."""
    needed = NEEDS.get(name)
    return needed is not None and needed in (device, Device(device.kind, ANYONE))


@dataclass(frozen=True)
class Usable:
    """A runtime's answer about one device; `words` are its own. `yes` None: it gave none."""

    yes: bool | None
    words: str


def hardware(system: Path = Path("/")) -> list[Device]:
    """The devices beside the processor that `system` lists; empty where it lists none."""
    found = []
    for path in sorted(system.glob("sys/bus/pci/devices/*")):
        try:
            kind = _KINDS.get((path / "class").read_text()[2:4])
            vendor = (path / "vendor").read_text().strip()
        except OSError:
            continue
        if kind:
            found.append(Device(kind, _VENDORS.get(vendor, f"PCI vendor {vendor}")))
    if any(system.glob("dev/fastrpc-cdsp*")):
        found.append(Device("NPU", "Qualcomm"))
    if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
        found += [Device("GPU", "Apple"), Device("NPU", "Apple")]
    return found


def ask(runtimes: Sequence[str], seconds: float = _SECONDS) -> dict[str, dict[str, Usable]]:
    """By runtime, of those in ASKED, and device. No process outlives this call."""
    under_way = {
        name: subprocess.Popen(
            [*_COMMAND, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in runtimes
        if name in ASKED
    }
    try:
        return {name: _answer(process, seconds) for name, process in under_way.items()}
    finally:
        for process in under_way.values():
            process.kill()
            process.communicate()


@cache
def absent(runtime: str, device: str) -> str | None:
    """Why a runtime can't use a device that not every machine has, in its words; None where it can.

    A runtime that gives no answer is not held to be without it.
    """
    usable = _asked(runtime).get(device) if device in NEEDS else None
    return usable.words if usable and usable.yes is False else None


@cache
def _asked(runtime: str) -> dict[str, Usable]:
    return ask([runtime]).get(runtime, {})


def _answer(process: subprocess.Popen[str], seconds: float) -> dict[str, Usable]:
    try:
        said, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"": Usable(None, f"no answer in {seconds:.0f} seconds")}
    if process.returncode:
        last = (complaint.strip().splitlines() or ["no words"])[-1]
        return {"": Usable(None, f"asking it ended with status {process.returncode}: {last}")}
    # What a library prints may stand before the answer.
    answers = json.loads(said.splitlines()[-1])
    return {device: Usable(*one) for device, one in answers.items()}


_PLAYED = ", emulated: answers only, no speed"


def _llamacpp() -> Iterator[tuple[str, bool, str]]:
    import llama_cpp

    from harness.run.runtimes import ArtifactRefused
    from harness.run.runtimes.llamacpp_devices import BACKENDS, gpus

    built = "" if llama_cpp.llama_supports_gpu_offload() else ", built for the processor alone"
    yield "cpu", True, f"llama-cpp-python {llama_cpp.__version__}{built}"
    for device in BACKENDS:
        try:
            found = gpus(device)
        except ArtifactRefused as error:
            yield device, False, str(error)
        else:
            played = _PLAYED if any(gpu.emulated for gpu in found) else ""
            yield device, True, ", ".join(gpu.words for gpu in found) + played


def _onnx() -> Iterator[tuple[str, bool, str]]:
    from harness.run.runtimes import ArtifactRefused
    from harness.run.runtimes.onnx_providers import PROVIDERS, Executor

    for device, provider in PROVIDERS.items():
        try:
            executor = Executor(device)
        except ArtifactRefused as error:
            yield device, False, str(error)
        else:
            yield device, True, f"{provider.name}{_PLAYED if executor.emulated else ''}"


def _openai() -> Iterator[tuple[str, bool | None, str]]:
    """Nothing is sent: whether a server answers there is seen when it is asked."""
    from harness.errors import HarnessError
    from harness.run import endpoint

    try:
        found = endpoint.from_environment()
    except HarnessError as error:
        yield "server", None, str(error)
    else:
        yield "server", True, f"{endpoint.BASE} names {found.place(())}"


def _transformers() -> Iterator[tuple[str, bool, str]]:
    import torch

    yield "cpu", True, f"torch {torch.__version__}"
    if torch.cuda.is_available():
        count = range(torch.cuda.device_count())
        yield "cuda", True, ", ".join(torch.cuda.get_device_name(one) for one in count)
    elif torch.version.cuda is None:
        yield "cuda", False, f"torch {torch.__version__} has no CUDA; see pytorch.org for one"
    else:
        yield "cuda", False, f"torch {torch.__version__} finds no CUDA device or driver"


ASKED: dict[str, Callable[[], Iterator[tuple[str, bool | None, str]]]] = {
    "llama.cpp": _llamacpp,
    "onnx": _onnx,
    "openai": _openai,
    "transformers": _transformers,
}

if __name__ == "__main__":
    found = {device: (yes, words) for device, yes, words in ASKED[sys.argv[1]]()}
    print(json.dumps(found))
