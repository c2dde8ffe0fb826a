"""Who executes ONNX graphs: a provider for each device, and whether this machine has the device.

A provider is asked for its devices and a session for the nodes that it gave to whom; nothing is
taken from what was asked for. A graph is refused that is not whole on the device; where ONNX
Runtime by itself leaves the arithmetic of shapes to the processor, all but that.

`cpu` was run by us, `npu:qnn` as Qualcomm's emulator alone, and `cuda`, `directml`, `coreml` and
`npu:openvino` never. What CoreML gives to the CPU, the GPU or the Neural Engine it does not say.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import: else it keeps and sends an identifier

import onnxruntime as api

from harness.run.runtimes import ArtifactRefused

_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_RECORD_NODES = "session.record_ep_graph_assignment_info"
_CPU = "CPUExecutionProvider"
_OF_SHAPES = frozenset(
    [
        *("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Cast", "Identity", "Range", "Where"),
        *("And", "Or", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
        *("Shape", "Size", "Gather", "GatherND", "Slice", "Concat", "Squeeze", "Unsqueeze"),
        *("Reshape", "Expand", "ConstantOfShape", "Clip"),
        *("ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum"),
    ]
)
"""Operators that work out shapes, positions and masks. Providers that leave `shapes_apart` have
all of them for floating-point numbers, so that what they leave is in whole numbers."""


@dataclass(frozen=True)
class Provider:
    """`memory`: ONNX Runtime's name of where the device's memory is. `package`: the distribution
    that has it; `plugin`: its module, where it comes beside ONNX Runtime, and then
    `backend`: its function that names the library for an NPU, where it has several.
    """

    name: str
    memory: str
    package: str
    plugin: str | None = None
    backend: str | None = None
    emulator: dict[str, str] = field(default_factory=dict)
    """What the processor is told to play where there is no such device."""
    options: dict[str, str] = field(default_factory=dict)
    shapes_apart: bool = False
    """Whether the arithmetic of shapes may stay on the processor, as ONNX Runtime has it."""


PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "cpu", "onnxruntime"),
    "cuda": Provider(
        "CUDAExecutionProvider",
        "cuda",
        "onnxruntime-gpu",
        options={"use_tf32": "0"},  # else float32 is multiplied with 10 bits of its 23
        shapes_apart=True,
    ),
    "directml": Provider("DmlExecutionProvider", "dml", "onnxruntime-windowsml", shapes_apart=True),
    "coreml": Provider("CoreMLExecutionProvider", "cpu", "onnxruntime for macOS"),
    "npu:qnn": Provider(
        "QNNExecutionProvider",
        "cpu",
        "onnxruntime-qnn",
        "onnxruntime_qnn",
        "get_qnn_htp_path",
        {"htp_arch": "75", "soc_model": "57"},  # of the Snapdragon 8 Gen 3
    ),
    "npu:openvino": Provider(
        "OpenVINOExecutionProvider", "cpu", "onnxruntime-ep-openvino", "onnxruntime_ep_openvino"
    ),
}


class Executor:
    """The device's provider, as sessions get it. Raises ArtifactRefused where there is none."""

    def __init__(self, device: str) -> None:
        self.provider = PROVIDERS[device]
        self.emulated = False
        self._shapes = 0
        self._found: list[Any] = []
        self._options = self.provider.options
        if self.provider.plugin:
            self._find(_imported(self.provider))
        elif self.provider.name not in api.get_available_providers():
            here = ", ".join(api.get_available_providers())
            raise ArtifactRefused(
                f"this onnxruntime has {here}, and no {self.provider.name}: "
                f"{self.provider.package} has it"
            )
        if device == "cuda":  # NVIDIA's libraries, where they were installed as packages
            api.preload_dlls()

    def _find(self, plugin: Any) -> None:
        """Where there is no NPU, the processor plays one if the plugin has an emulator."""
        name, package = self.provider.name, self.provider.package
        if not _offered(name):
            try:
                api.register_execution_provider_library(name, plugin.get_library_path())
            except Exception as error:  # ONNX Runtime's own have no other base
                raise ArtifactRefused(f"{package}: {error}") from error
        kinds = api.OrtHardwareDeviceType
        self._found = _offered(name, kinds.NPU)[:1]
        if not self._found and self.provider.emulator:
            self._found = _offered(name, kinds.CPU)[:1]
            self.emulated = bool(self._found)
        if not self._found:
            raise ArtifactRefused(f"{package} is here and finds no device that it could use")
        backend = self.provider.backend
        if backend:
            self._options = self._options | {"backend_path": getattr(plugin, backend)()}
        if self.emulated:
            self._options = self._options | self.provider.emulator

    def session(self, path: str, options: api.SessionOptions) -> api.InferenceSession:
        """With every node on the device: what it does not take is refused, not run elsewhere."""
        options.add_session_config_entry(_RECORD_NODES, "1")
        if self.provider.name != _CPU and not self.provider.shapes_apart:
            options.add_session_config_entry(_NO_FALLBACK, "1")
        names = [] if self._found else [(self.provider.name, self._options)]
        if self._found:
            options.add_provider_for_devices(self._found, self._options)
        session = api.InferenceSession(
            path, options, names or None, enable_fallback=0, read_config_from_model=0
        )
        self._check(session)
        return session

    def _check(self, session: api.InferenceSession) -> None:
        """A provider that can't start is left out by ONNX Runtime, without an error."""
        name, left = self.provider.name, _operators(session)[_CPU]
        if name not in session.get_providers():
            raise ArtifactRefused(f"{name} did not start: its driver or its libraries are missing")
        if name == _CPU:
            return
        astray = left.keys() - (_OF_SHAPES if self.provider.shapes_apart else set())
        if astray:
            raise ArtifactRefused(f"{name} leaves {', '.join(sorted(astray))} to the processor")
        self._shapes += left.total()

    def build(self) -> str:
        """ONNX Runtime's own words; of a plugin its version and what is emulated."""
        words = [api.get_build_info()]
        if self._shapes:
            words.append(f"{self._shapes} nodes of shapes on the processor")
        if self.provider.plugin:
            version = importlib.metadata.version(self.provider.package)
            words.append(f"{self.provider.package}={version}")
        if self.emulated:
            words += ["emulating", *(f"{key}={one}" for key, one in self.provider.emulator.items())]
        return ", ".join(words)


def device_of(sessions: Iterable[api.InferenceSession]) -> str:
    """The device on which all nodes of all sessions are, by what the sessions say.

    Beside a provider that leaves shapes apart, those on the processor do not count.
    """
    names = {provider.name: device for device, provider in PROVIDERS.items()}
    used: set[str] = set()
    for session in sessions:
        there = _operators(session)
        others = {one for one in there if one in names and PROVIDERS[names[one]].shapes_apart}
        if others and not there[_CPU].keys() - _OF_SHAPES:
            del there[_CPU]
        used |= there.keys()
    return "+".join(sorted(names.get(name, f"unknown: {name}") for name in used))


def _operators(session: api.InferenceSession) -> defaultdict[str, Counter[str]]:
    """By provider: how many nodes of each operator it was given."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for part in session.get_provider_graph_assignment_info():
        found[part.ep_name].update(node.op_type for node in part.get_nodes())
    return found


def _imported(provider: Provider) -> Any:
    try:
        return importlib.import_module(str(provider.plugin))
    except ImportError as error:
        advice = f"run: python -m pip install {provider.package}"
        raise ArtifactRefused(f"no {provider.name}: {error}; {advice}") from error


def _offered(name: str, kind: Any = None) -> list[Any]:
    """The provider's devices; of one kind, where that is given."""
    every = [one for one in api.get_ep_devices() if one.ep_name == name]
    return [one for one in every if kind in (None, one.device.type)]
