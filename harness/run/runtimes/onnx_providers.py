"""Who executes ONNX graphs: a provider for each device, and whether this machine has the device.

A provider is asked for its devices and a session for the nodes that it gave to whom; nothing is
taken from what was asked for. `cpu` was run by us, `npu:qnn` as Qualcomm's emulator alone, and
`npu:openvino` never: on our machine it was refused, for want of the device.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import: else it keeps and sends an identifier

import onnxruntime as api

from harness.run.runtimes import ArtifactRefused

_NO_FALLBACK = "session.disable_cpu_ep_fallback"
_RECORD_NODES = "session.record_ep_graph_assignment_info"


@dataclass(frozen=True)
class Provider:
    """`memory`: ONNX Runtime's name of where the device's memory is. `package`: the distribution
    that has the provider; `plugin`: its module, where it comes beside ONNX Runtime, and then
    `backend`: its function that names the library for an NPU, where it has several.
    """

    name: str
    memory: str
    package: str
    plugin: str | None = None
    backend: str | None = None
    emulator: dict[str, str] = field(default_factory=dict)
    """What the processor is told to play where there is no such device."""


PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "cpu", "onnxruntime"),
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
        self._found: list[Any] = []
        if self.provider.plugin:
            self._find(_imported(self.provider))
        elif self.provider.name not in api.get_available_providers():
            here = ", ".join(api.get_available_providers())
            raise ArtifactRefused(
                f"this onnxruntime has {here}, and no {self.provider.name}; "
                f"run: python -m pip install {self.provider.package}"
            )

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
        self._options = {"backend_path": getattr(plugin, backend)()} if backend else {}
        if self.emulated:
            self._options |= self.provider.emulator

    def session(self, path: str, options: api.SessionOptions) -> api.InferenceSession:
        """With every node on the device: what it does not take is refused, not run elsewhere."""
        options.add_session_config_entry(_RECORD_NODES, "1")
        if self.provider.name != "CPUExecutionProvider":
            options.add_session_config_entry(_NO_FALLBACK, "1")
        names = [] if self._found else [self.provider.name]
        if self._found:
            options.add_provider_for_devices(self._found, self._options)
        return api.InferenceSession(
            path, options, names or None, enable_fallback=0, read_config_from_model=0
        )

    def build(self) -> str:
        """ONNX Runtime's own words; of a plugin its version and what is emulated."""
        words = [api.get_build_info()]
        if self.provider.plugin:
            version = importlib.metadata.version(self.provider.package)
            words.append(f"{self.provider.package}={version}")
        if self.emulated:
            words += ["emulating", *(f"{key}={one}" for key, one in self.provider.emulator.items())]
        return ", ".join(words)


def device_of(sessions: Iterable[api.InferenceSession]) -> str:
    """The device on which all nodes of all sessions are, by what the sessions say."""
    used = {part.ep_name for one in sessions for part in one.get_provider_graph_assignment_info()}
    names = {provider.name: device for device, provider in PROVIDERS.items()}
    return "+".join(sorted(names.get(name, f"unknown: {name}") for name in used))


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
