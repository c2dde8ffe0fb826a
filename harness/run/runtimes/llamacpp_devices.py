"""llama.cpp's devices: which ones its build has, and where a loaded model really is.

A device is one of ggml's back ends. All GPUs that the back end finds take part. They are named to
llama.cpp one by one, and none for the processor: a build with a back end uses its GPU unasked.
Where things went is read from llama.cpp's own log: layers, the KV cache, and the parts that it cuts
a graph into, which are more than the devices where an operator is missing on one of them.

The embeddings of tokens are looked up by the processor on any device: llama.cpp never moves them.
On `vulkan` we loaded models with a software driver, and read back where they were, but computed
no answer; `cuda` and `metal` never ran here.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import llama_cpp
from llama_cpp._ctypes_extensions import load_shared_library

from harness.run.protocol import Option
from harness.run.runtimes import ArtifactRefused

BACKENDS = {"cuda": "CUDA", "metal": "MTL", "vulkan": "Vulkan"}
"""A device's back end, as ggml names it."""
ALL = "all"
"""Of a model's layers."""

_GPU = re.compile(r"[A-Za-z]+\d+")
"""What the names of a GPU's buffers begin with: those of the processor have no number."""
_SOFTWARE = ("llvmpipe", "SwiftShader", "Microsoft Basic Render Driver")
"""How drivers describe a processor that plays a GPU; ggml's type of it is GPU all the same."""


@dataclass(frozen=True)
class Gpu:
    """One of ggml's devices. `pointer` is ggml's own, `words` are its driver's."""

    pointer: int
    backend: str
    name: str
    words: str

    @property
    def emulated(self) -> bool:
        return self.words.startswith(_SOFTWARE)


def gpus(device: str) -> list[Gpu]:
    """Those that `device` stands for: none for cpu. Raises ArtifactRefused where there are none."""
    if device == "cpu":
        return []
    backend, ggml = BACKENDS[device], _ggml()
    found = [gpu for gpu in _gpus(ggml) if gpu.backend == backend]
    if found:
        return found
    if ggml["ggml_backend_reg_by_name"](backend.encode()):
        raise ArtifactRefused(f"llama.cpp's back end for {device} is here and finds no device")
    raise ArtifactRefused(
        f"this build of llama.cpp has no back end for {device}; with what one needs there, run: "
        f"CMAKE_ARGS=-DGGML_{device.upper()}=on python -m pip install --force-reinstall --no-deps "
        f"--no-cache-dir --no-binary llama-cpp-python llama-cpp-python=={llama_cpp.__version__}"
    )


def pointers(found: Sequence[Gpu]) -> Any:
    """As llama.cpp takes them; it must live until the model is loaded."""
    return (ctypes.c_void_p * (len(found) + 1))(*(gpu.pointer for gpu in found), None)


def _gpus(ggml: Mapping[str, Any]) -> Iterator[Gpu]:
    for at in range(ggml["ggml_backend_dev_count"]()):
        pointer = ggml["ggml_backend_dev_get"](at)
        backend = ggml["ggml_backend_dev_backend_reg"](pointer)
        names = (
            ggml["ggml_backend_reg_name"](backend),
            ggml["ggml_backend_dev_name"](pointer),
            ggml["ggml_backend_dev_description"](pointer),
        )
        yield Gpu(pointer, *(name.decode("utf-8", "replace") for name in names))


@cache
def _ggml() -> dict[str, Any]:
    """What llama-cpp-python has no names for, from the libraries that it has loaded."""
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    wanted: dict[str, tuple[Any, ...]] = {
        "ggml_backend_dev_backend_reg": (pointer, pointer),
        "ggml_backend_dev_count": (ctypes.c_size_t,),
        "ggml_backend_dev_description": (text, pointer),
        "ggml_backend_dev_get": (pointer, ctypes.c_size_t),
        "ggml_backend_dev_name": (text, pointer),
        "ggml_backend_reg_by_name": (pointer, text),
        "ggml_backend_reg_name": (text, pointer),
    }
    libraries = [llama_cpp.llama_cpp._lib]  # in which what it is linked with is found as well
    if os.name == "nt":  # but not there
        folder = llama_cpp.llama_cpp._base_path
        libraries = [load_shared_library(name, folder) for name in ("ggml", "ggml-base")]
    found = {}
    for name, (result, *arguments) in wanted.items():
        function = next(getattr(one, name) for one in libraries if hasattr(one, name))
        function.restype, function.argtypes = result, arguments
        found[name] = function
    return found


@dataclass(frozen=True)
class Placement:
    """Where a model is, by llama.cpp's log: for each part of it, the devices that have some."""

    parts: dict[str, set[str]]
    gpu_layers: Option
    """How many, or `all`. A build without a GPU back end says nothing of it: none."""

    @property
    def device(self) -> str:
        return "+".join(sorted(set().union(*self.parts.values())))

    def check(self, asked: str) -> None:
        """Raises ArtifactRefused where anything is elsewhere than on the device asked for."""
        astray = [
            f"{part} on {'+'.join(sorted(devices)) or 'no device that it names'}"
            for part, devices in self.parts.items()
            if devices != {asked}
        ]
        if astray:
            raise ArtifactRefused(f"asked for {asked}, llama.cpp has {', '.join(astray)}")


def placement(log: str, vision: str | None) -> Placement:
    """After the context is made. `vision`: what mtmd says that it runs on, where it is used."""
    offloaded = re.search(r"offloaded (\d+)/(\d+) layers to GPU", log)
    there, whole = map(int, offloaded.groups()) if offloaded else (0, -1)
    weights = set(re.findall(r"(\S+) model buffer size =", log))
    gpus = {found[0] for name in weights if (found := _GPU.match(name))} if there else set[str]()
    layers = {device_of(name) for name in gpus} | ({"cpu"} if there != whole else set())
    caches = {device_of(name) for name in re.findall(r"(\S+) (?:KV|RS) buffer size =", log)}
    parts = {"layers": layers}
    if gpus or caches:
        parts["KV cache"] = caches
    computing = {device_of(name) for name in re.findall(r"(\S+) compute buffer size =", log)}
    if not gpus and computing - {"cpu"}:  # of large batches, without a layer that lies there
        parts["operators"] = computing
    if gpus and not 0 < _cuts(log) <= len(gpus) + 1:  # one cut is behind the embeddings
        parts["operators"] = {"cpu"}
    if vision:
        parts["vision"] = {vision}
    return Placement(parts, ALL if there == whole else there)


def _cuts(log: str) -> int:
    """The most parts that a graph was cut into, each on one device; 0 where nothing is said."""
    found = re.findall(r"graph[^\n]*splits = (\d+)(?: / (\d+))?", log)
    return max((int(count) for pair in found for count in pair if count), default=0)


def device_of(name: str) -> str:
    """Of one of ggml's devices or of its buffers; all but a GPU's own are the processor's."""
    found = _GPU.match(name)
    if not found:
        return "cpu"
    backend = found[0].rstrip("0123456789")
    return next((one for one, known in BACKENDS.items() if known == backend), backend)
