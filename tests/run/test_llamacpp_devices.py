"""llama.cpp beside the processor: what it is asked for, and what is read of where things went.

With a build that has Vulkan the last tests run. Mesa's software driver takes a model and is asked
where it is, but is given nothing to compute: it compiles a single shader for minutes.

    GGML_VK_VISIBLE_DEVICES=0 python -m pytest tests/run/test_llamacpp_devices.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_llamacpp import new
from test_onnx_static import questions

from harness import prepare
from harness.ask import models
from harness.run.chat_template import render
from harness.run.records import Applied
from harness.run.runtimes import ArtifactRefused, llamacpp_devices, settings_for
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.runtimes.llamacpp_devices import BACKENDS, Gpu, device_of, gpus, placement

LOG = """load_tensors: offloaded {layers}/31 layers to GPU
load_tensors:   CPU_Mapped model buffer size =    28.69 MiB
load_tensors:      Vulkan0 model buffer size =    98.01 MiB
llama_kv_cache:    {cache} KV buffer size =     5.62 MiB
llama_context: graph: nodes = 937, splits = {cuts}, input objects = 4, input tensors = 5
"""


def log(layers: int = 31, cache: str = "Vulkan0", cuts: str = "2") -> str:
    return LOG.format(layers=layers, cache=cache, cuts=cuts)


def test_all_on_one_gpu() -> None:
    found = placement(log(), "vulkan")
    found.check("vulkan")
    assert (found.device, found.gpu_layers) == ("vulkan", "all")


def test_layers_are_spread_over_all_gpus() -> None:
    second = "load_tensors:      Vulkan1 model buffer size =    50.00 MiB\n"
    placement(second + log(cuts="3"), None).check("vulkan")


@pytest.mark.parametrize(
    ("changes", "vision", "words"),
    [
        ({"layers": 20}, None, "layers on cpu+vulkan"),
        ({"cache": "CPU"}, None, "KV cache on cpu"),
        ({"cache": "Vulkan_Host"}, None, "KV cache on cpu"),
        ({"cuts": "2 / 62"}, None, "operators on cpu"),
        ({"cuts": "not said"}, None, "operators on cpu"),
        ({}, "cpu", "vision on cpu"),
        ({}, "cpu+vulkan", "vision on cpu+vulkan"),
    ],
)
def test_what_is_elsewhere_is_named_and_refused(
    changes: dict[str, Any], vision: str | None, words: str
) -> None:
    found = placement(log(**changes), vision)
    with pytest.raises(ArtifactRefused) as caught:
        found.check("vulkan")
    assert str(caught.value) == f"asked for vulkan, llama.cpp has {words}"
    assert found.device != "vulkan"


def test_a_cache_that_the_log_does_not_place_is_refused() -> None:
    quiet = "\n".join(line for line in log().splitlines() if "KV" not in line)
    with pytest.raises(ArtifactRefused, match="KV cache on no device that it names"):
        placement(quiet, None).check("vulkan")


def test_a_gpu_is_left_alone_where_the_processor_was_asked_for() -> None:
    nothing = "load_tensors: offloaded 0/31 layers to GPU\n"
    found = placement(nothing, "cpu")
    assert found.gpu_layers == 0
    found.check("cpu")
    cache = nothing + "llama_kv_cache:  CUDA0 KV buffer size = 1.00 MiB\n"
    operators = nothing + "sched_reserve:    Vulkan0 compute buffer size =     2.01 MiB\n"
    for moved in (log(layers=1), cache, operators):
        with pytest.raises(ArtifactRefused, match="asked for cpu"):
            placement(moved, None).check("cpu")


def test_names_of_buffers() -> None:
    mine = ("CPU", "CPU_Mapped", "CPU_REPACK", "CPU_AARCH64", "AMX", "BLAS", "CUDA_Host")
    assert {device_of(name) for name in mine} == {"cpu"}
    theirs = {"CUDA1": "cuda", "MTL0_Mapped": "metal", "Vulkan0": "vulkan", "SYCL0": "SYCL"}
    assert {name: device_of(name) for name in theirs} == theirs


def test_a_processor_that_plays_a_gpu_is_told() -> None:
    played, real = ("llvmpipe (LLVM 15.0.6, 256 bits)", "NVIDIA GeForce RTX 4060 Laptop GPU")
    assert Gpu(1, "Vulkan", "Vulkan0", played).emulated
    assert not Gpu(1, "Vulkan", "Vulkan0", real).emulated


def test_only_a_gpu_is_asked_for_all_layers() -> None:
    asked = {device: settings_for("llama.cpp", device, 1, 256) for device in ("cpu", *BACKENDS)}
    layers = {device: settings.options["gpu_layers"] for device, settings in asked.items()}
    assert layers == {"cpu": 0, "cuda": "all", "metal": "all", "vulkan": "all"}


def test_a_back_end_that_is_not_built_comes_with_the_command_that_builds_it(
    smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "vulkan", "Nobody")
    with pytest.raises(ArtifactRefused, match=r"no back end for vulkan.*GGML_VULKAN=on"):
        loaded(smollm2, "vulkan")


def test_a_back_end_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "vulkan", "CPU")  # built always
    monkeypatch.setattr(llamacpp_devices, "_gpus", lambda ggml: iter(()))
    with pytest.raises(ArtifactRefused, match="back end for vulkan is here and finds no device"):
        gpus("vulkan")


def loaded(path: Path, device: str, **options: Any) -> LlamaCpp:
    found = new()
    settings = settings_for("llama.cpp", device, 2, 256)
    settings.options.update(options)
    found.load(str(path), settings)
    found.create_context()
    return found


@pytest.fixture(scope="module")
def vulkan() -> Iterator[str]:
    try:
        gpus("vulkan")
    except ArtifactRefused as error:
        pytest.skip(str(error))
    yield "vulkan"


@pytest.fixture(scope="module")
def gpu(vulkan: str) -> str:
    """Vulkan on a GPU that computes by itself."""
    if any(one.emulated for one in gpus(vulkan)):
        pytest.skip("a software driver compiles shaders for longer than a test may take")
    return vulkan


PROMPTS = ("The capital of France is", "def fibonacci(n):\n", "Water boils at")


def test_it_answers_on_a_gpu_as_on_the_processor(gpu: str, smollm2: Path) -> None:
    there, here = loaded(smollm2, gpu), loaded(smollm2, "cpu")
    for prompt in PROMPTS:
        ids = here.tokenize(prompt)
        answers = [one.evaluate(ids, 8, stop_at_end=False, top=5) for one in (there, here)]
        assert answers[0].tokens[0] == answers[1].tokens[0]
        assert answers[0].evaluated_tokens == len(ids)
        likely = [dict(one.first_logprobs) for one in answers]
        for token in likely[0].keys() & likely[1].keys():
            assert likely[0][token] == pytest.approx(likely[1][token], abs=0.3)


def test_where_it_went_is_read_back(vulkan: str, smollm2: Path) -> None:
    there, here = (
        Applied.model_validate(loaded(smollm2, one).applied()) for one in (vulkan, "cpu")
    )
    assert there.settings == settings_for("llama.cpp", vulkan, 2, 256)
    assert here.settings == settings_for("llama.cpp", "cpu", 2, 256)
    assert {device_of(name) for name in there.weight_buffers} == {"cpu", vulkan}
    assert {device_of(name) for name in here.weight_buffers} == {"cpu"}
    (gpu,) = gpus(vulkan)
    assert f"{gpu.name} = {gpu.words}" in there.runtime_build
    assert (there.emulated, here.emulated) == (gpu.emulated, False)


def test_fewer_layers_than_asked_are_refused(vulkan: str, smollm2: Path) -> None:
    with pytest.raises(ArtifactRefused, match=r"layers on cpu\+vulkan"):
        loaded(smollm2, vulkan, gpu_layers=10).applied()


@pytest.fixture(scope="module")
def sees() -> Path:
    model = models.load()["smoke-vlm"]
    return prepare.prepare(model, model.artifact("f16", ("gguf",))).path


def test_where_the_vision_part_went_is_read_back(vulkan: str, sees: Path) -> None:
    assert loaded(sees, vulkan)._placed().parts["vision"] == {vulkan}
    assert loaded(sees, "cpu")._placed().parts["vision"] == {"cpu"}


def test_it_sees_on_a_gpu_as_on_the_processor(gpu: str, sees: Path) -> None:
    there, here = loaded(sees, gpu), loaded(sees, "cpu")
    for question, image in questions(4):
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = render(here.chat_template(), [{"role": "user", "content": content}])
        answers = [
            one.evaluate(one.see(text, [image]), 8, stop_at_end=True) for one in (there, here)
        ]
        assert answers[0].tokens == answers[1].tokens
