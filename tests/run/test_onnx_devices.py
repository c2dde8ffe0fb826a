"""ONNX Runtime beside the processor: who has a graph's nodes, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from harness.run.runtimes import RUNTIMES, ArtifactRefused, onnx_providers
from harness.run.runtimes.onnx_providers import PROVIDERS, Executor, device_of

GPUS = ("cuda", "directml")
NAMES = {device: provider.name for device, provider in PROVIDERS.items()}


def session(operators: dict[str, list[str]], without: str = "") -> SimpleNamespace:
    """One whose nodes went to these devices; it has their providers, but for one."""
    parts = [
        SimpleNamespace(
            ep_name=NAMES[device],
            get_nodes=lambda names=names: [SimpleNamespace(op_type=name) for name in names],
        )
        for device, names in operators.items()
    ]
    return SimpleNamespace(
        get_provider_graph_assignment_info=lambda: parts,
        get_providers=lambda: [NAMES[one] for one in operators if one != without],
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a session on a device, as a build with every provider would; says what it was given."""
    given: dict[str, Any] = {}

    def make(device: str, operators: dict[str, list[str]], without: str = "") -> Executor:
        def open_session(path: str, options: Any, providers: Any, **_: Any) -> SimpleNamespace:
            given.update(options=options, providers=providers)
            return session(operators, without)

        api = SimpleNamespace(**vars(onnx_providers.api))
        api.get_available_providers = lambda: list(NAMES.values())
        api.InferenceSession, api.preload_dlls = open_session, lambda: None
        monkeypatch.setattr(onnx_providers, "api", api)
        executor = Executor(device)
        executor.session("model.onnx", onnx_providers.api.SessionOptions())
        return executor

    make.given = given  # type: ignore[attr-defined]
    return make


@pytest.mark.parametrize("device", GPUS)
def test_the_arithmetic_of_shapes_may_stay_on_the_processor(device: str, made: Any) -> None:
    """As ONNX Runtime has it, unasked; the record says how much."""
    nodes = {device: ["MatMul", "Softmax", "Add"], "cpu": ["Shape", "Gather", "Add"]}
    assert "3 nodes of shapes on the processor" in made(device, nodes).build()
    assert device_of([session(nodes)]) == device


@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize("operator", ["MatMul", "GroupQueryAttention", "Softmax", "MatMulNBits"])
def test_what_computes_may_not(device: str, operator: str, made: Any) -> None:
    nodes = {device: ["MatMul"], "cpu": ["Shape", operator]}
    with pytest.raises(ArtifactRefused, match=f"{NAMES[device]} leaves {operator} to the proc"):
        made(device, nodes)
    assert device_of([session(nodes)]) == f"cpu+{device}"


def test_a_session_on_the_processor_beside_one_that_is_not() -> None:
    sessions: Any = [session({"cuda": ["MatMul"]}), session({"cpu": ["Gather"]})]
    assert device_of(sessions) == "cpu+cuda"


def test_coreml_and_npus_take_a_graph_whole(made: Any) -> None:
    with pytest.raises(ArtifactRefused, match="CoreMLExecutionProvider leaves Shape to the proc"):
        made("coreml", {"coreml": ["MatMul"], "cpu": ["Shape"]})
    strict = made.given["options"].get_session_config_entry("session.disable_cpu_ep_fallback")
    assert strict == "1"


@pytest.mark.parametrize("device", GPUS)
def test_a_provider_that_does_not_start_is_refused(device: str, made: Any) -> None:
    """ONNX Runtime leaves it out and goes on with the processor's."""
    with pytest.raises(ArtifactRefused, match=f"{NAMES[device]} did not start"):
        made(device, {"cpu": ["MatMul"]})


def test_float32_is_multiplied_as_float32(made: Any) -> None:
    made("cuda", {"cuda": ["MatMul"]})
    assert made.given["providers"] == [("CUDAExecutionProvider", {"use_tf32": "0"})]


@pytest.mark.parametrize("device", ["cuda", "directml", "coreml"])
def test_a_build_without_the_provider_says_which_has_it(device: str) -> None:
    if NAMES[device] in onnx_providers.api.get_available_providers():
        pytest.skip("it is here")
    with pytest.raises(ArtifactRefused, match=f"no {NAMES[device]}.*{PROVIDERS[device].package}"):
        Executor(device)


def test_a_build_with_a_provider_does_in_place_of_the_usual_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry, here = RUNTIMES["onnx"], {"onnxruntime-gpu": "1.31.1", "tokenizers": "0.23.3"}
    monkeypatch.setattr("harness.run.runtimes.installed", here.get)
    assert entry.own == "onnxruntime-gpu"
    assert list(entry.needs("cuda")) == ["onnxruntime-gpu", "tokenizers"]
    assert list(entry.needs("cpu")) == ["onnxruntime-gpu", "tokenizers"]
    assert entry.needs("directml")["onnxruntime-windowsml"] == "onnx-directml"


def test_what_a_device_needs_beside_the_runtime() -> None:
    entry = replace(RUNTIMES["onnx"], builds=())
    assert entry.needs("npu:qnn") == {
        "onnxruntime": "onnx",
        "tokenizers": "onnx",
        "onnxruntime-qnn": "qnn",
    }
    assert list(entry.needs("cpu")) == ["onnxruntime", "tokenizers"]
