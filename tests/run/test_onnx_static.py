"""Graphs of fixed shapes: the smoke VLM as it is exported for NPUs, on CPU and on the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx_reference import exported
from test_onnx_devices import session
from tiny_onnx import SETTINGS

from harness.ask import models
from harness.plan.cells import Cell
from harness.plan.planner import Planner
from harness.run.chat_template import render
from harness.run.images import Pixels, decode
from harness.run.runtimes import RUNTIMES, ArtifactRefused, Seen, onnx_providers
from harness.run.runtimes.onnx import Onnx
from harness.run.runtimes.onnx_providers import PROVIDERS, Executor, device_of
from harness.run.runtimes.onnx_static import Steps, pair

CONTEXT, WIDTH = 256, 64
MODEL = models.load()["smoke-vlm"]


@pytest.fixture(scope="session")
def folder() -> Path:
    return exported("w8a16", MODEL.id)


def opened(folder: Path, device: str = "cpu", context: int = CONTEXT) -> Onnx:
    found = Onnx()
    found.load(str(folder), replace(SETTINGS, device=device, context=context))
    found.create_context()
    return found


@pytest.fixture(scope="session")
def on_cpu(folder: Path) -> Onnx:
    return opened(folder)


def questions(count: int) -> Iterator[tuple[str, Pixels]]:
    """Of the train split, others than the exporter's."""
    from easy_vqa import get_train_image_paths, get_train_questions

    texts, _, images = get_train_questions()
    for at in range(11, 11 + 401 * count, 401):
        path = Path(get_train_image_paths()[images[at]])
        yield texts[at], decode(path.read_bytes(), path.name)


def asked(found: Onnx, question: str, image: Pixels) -> Seen:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = render(found.chat_template(), [{"role": "user", "content": content}])
    return found.see(prompt, [image])


def test_it_answers_as_the_model_in_fp32(on_cpu: Onnx) -> None:
    plain = opened(exported("fp32", MODEL.id))
    for question, image in questions(20):
        seen = asked(on_cpu, question, image)
        assert seen.ids == asked(plain, question, image).ids
        answer = on_cpu.evaluate(seen, 8, stop_at_end=True, top=1)
        expected = plain.evaluate(asked(plain, question, image), 8, stop_at_end=True, top=1)
        assert answer.tokens == expected.tokens
        assert answer.first_logprobs[0][1] == pytest.approx(expected.first_logprobs[0][1], abs=0.2)
        assert answer.evaluated_tokens == len(seen.ids)
        assert answer.image_seconds


def logits(found: Onnx, ids: list[int], pieces: list[int]) -> Any:
    """After `ids`, evaluated in pieces."""
    rows: Any = found._cache
    rows.clear()
    past = 0
    for count in pieces:
        steps = Steps(found._sessions, rows, count)
        steps.ids[0] = ids[past : past + count]
        last = steps.run(past)
        past += count
    return last


@pytest.mark.parametrize("count", [1, WIDTH - 1, WIDTH, WIDTH + 1, 3 * WIDTH])
def test_a_prompt_of_any_length_is_evaluated_whole(on_cpu: Onnx, count: int) -> None:
    """As it is token by token, but for what 16 bits at two graphs' own scales can differ by."""
    text = "what color is the shape? is there a circle in the image? " * 13
    ids = on_cpu.tokenize(text)[:count]
    assert len(ids) == count
    whole, single = logits(on_cpu, ids, [count]), logits(on_cpu, ids, [1] * count)
    assert on_cpu._cache.filled() == count
    assert np.corrcoef(whole, single)[0, 1] > 0.99
    answer = on_cpu.evaluate(ids, 3, stop_at_end=False)
    assert (len(answer.tokens), answer.evaluated_tokens) == (3, count)


def test_it_forgets_the_prompt_before(on_cpu: Onnx) -> None:
    first = on_cpu.evaluate([5, 6, 7], 1, stop_at_end=False, top=3)
    on_cpu.evaluate(list(range(100)), 8, stop_at_end=False)
    assert on_cpu.evaluate([5, 6, 7], 1, stop_at_end=False, top=3).first_logprobs == (
        first.first_logprobs
    )


def test_options_share_their_prefix(on_cpu: Onnx) -> None:
    prefix, options = on_cpu.tokenize("what color is the shape?"), [[5, 6], [7], [8, 9, 10]]
    first = on_cpu.likelihoods(prefix, options)
    assert (first.reused_tokens, first.evaluated_tokens) == (0, len(prefix) + 3)
    again = on_cpu.likelihoods([*prefix, 11], options)
    assert again.reused_tokens == len(prefix)
    np.testing.assert_allclose(
        [one for found in again.logprobs for one in found],
        [one for found in fresh(on_cpu, [*prefix, 11], options) for one in found],
        atol=0.05,
    )


def fresh(found: Onnx, prefix: list[int], options: list[list[int]]) -> list[list[float]]:
    found.evaluate([5], 1, stop_at_end=False)
    return found.likelihoods(prefix, options).logprobs


def test_it_says_what_it_did(on_cpu: Onnx) -> None:
    applied = on_cpu.applied()
    assert (applied["settings"]["device"], applied["emulated"]) == ("cpu", False)
    assert applied["settings"]["context"] == CONTEXT
    shape = MODEL.geometry
    assert applied["kv_bytes"] == 2 * 4 * CONTEXT * shape.layers * shape.kv_heads * shape.head_dim


def test_more_context_than_the_graphs_have(folder: Path) -> None:
    with pytest.raises(ArtifactRefused, match="512 tokens of context; the graphs are made for 256"):
        opened(folder, context=512)


def test_two_graphs_that_are_no_pair(on_cpu: Onnx) -> None:
    narrow, wide = on_cpu._sessions.decoder, on_cpu._sessions.twin
    assert pair(wide, narrow) == (narrow, wide)
    with pytest.raises(ArtifactRefused, match="for 1 token and for more, not 64 and 64"):
        pair(wide, wide)


def test_what_runs_on_two_devices_is_said_to(on_cpu: Onnx) -> None:
    """By what the sessions say of their nodes; the gate then finds it is not what was asked."""
    mixed: Any = session({"npu:qnn": ["MatMul"], "cpu": ["Shape"]})
    assert device_of([mixed]) == "cpu+npu:qnn"
    assert device_of(on_cpu._opened) == "cpu"


def test_the_graphs_tell_nothing_of_this_machine(folder: Path) -> None:
    for path in folder.glob("*.onnx"):
        assert b"site-packages" not in path.read_bytes()


def planned(quantisation: str, device: str, prompt_tokens: int = 32) -> Any:
    cell = Cell(
        workload="speed",
        model=MODEL.id,
        quantisation=quantisation,
        runtime="onnx",
        device=device,
        prompt_tokens=prompt_tokens,
        new_tokens=8,
    )
    return Planner({MODEL.id: MODEL}, {}, {}).planned(cell, 2)


def test_a_plan_gives_an_npu_fixed_shapes_and_no_more_context_than_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1")
    monkeypatch.setattr("harness.plan.planner.absent", lambda *_: None)
    fitting = planned("w8a16", "npu:qnn")
    assert (fitting.settings.context, fitting.problem) == (CONTEXT, None)
    longer = planned("w8a16", "npu:qnn", prompt_tokens=512)
    assert longer.problem == "520 tokens asked for; its graphs are made for 256"
    refused = planned("fp32", "npu:qnn").problem
    assert refused == "npu:qnn needs graphs of fixed shapes; take w8a16"


def test_a_plan_without_the_provider_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(RUNTIMES["onnx"], also={"npu:qnn": ("no-such-package", "qnn")})
    monkeypatch.setitem(RUNTIMES, "onnx", entry)
    problem = planned("w8a16", "npu:qnn").problem
    assert problem == "onnx on npu:qnn is not here; pip install 'claimbench[qnn]'"


def test_each_device_of_the_runtime_has_its_provider() -> None:
    assert set(PROVIDERS) == set(RUNTIMES["onnx"].devices)


def test_a_plugin_that_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(PROVIDERS["npu:qnn"], plugin="no_such_plugin")
    monkeypatch.setitem(PROVIDERS, "npu:qnn", missing)
    with pytest.raises(ArtifactRefused, match="pip install onnxruntime-qnn"):
        opened(folder, "npu:qnn")


def offering(monkeypatch: pytest.MonkeyPatch, *kinds: str, device: str = "npu:qnn") -> None:
    """A plugin that is here, on a machine where it finds these devices."""
    every, name = onnx_providers.api.OrtHardwareDeviceType, PROVIDERS[device].name
    found = [
        SimpleNamespace(ep_name=name, device=SimpleNamespace(type=getattr(every, kind)))
        for kind in kinds
    ]
    plugin = SimpleNamespace(get_library_path=lambda: "x.so", get_qnn_htp_path=lambda: "htp.so")
    monkeypatch.setattr(onnx_providers, "_imported", lambda provider: plugin)
    monkeypatch.setattr(onnx_providers.api, "register_execution_provider_library", lambda *_: None)
    monkeypatch.setattr(onnx_providers.api, "get_ep_devices", lambda: found)


def test_a_plugin_that_finds_no_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, "GPU")
    with pytest.raises(ArtifactRefused, match="onnxruntime-qnn is here and finds no device"):
        opened(folder, "npu:qnn")


def test_a_plugin_without_an_emulator_is_not_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an Intel processor it offers that one, which is no NPU."""
    offering(monkeypatch, "CPU", "GPU", device="npu:openvino")
    with pytest.raises(ArtifactRefused, match="onnxruntime-ep-openvino is here and finds no dev"):
        Executor("npu:openvino")
    offering(monkeypatch, "CPU", "NPU", device="npu:openvino")
    executor = Executor("npu:openvino")
    assert (executor.emulated, executor._options) == (False, {})


@pytest.mark.parametrize(("kinds", "emulated"), [(("NPU", "CPU"), False), (("CPU",), True)])
def test_only_where_there_is_no_npu_it_is_emulated(
    kinds: tuple[str, ...], emulated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    offering(monkeypatch, *kinds)
    executor = Executor("npu:qnn")
    assert executor.emulated is emulated
    assert ("htp_arch" in executor._options) is emulated


@pytest.fixture(scope="session")
def on_npu(folder: Path) -> Onnx:
    """Qualcomm's emulator, where its package is installed; a Snapdragon's NPU, where there is one.

    Not for CI as it is: its licence is the user's to accept.
    """
    pytest.importorskip("onnxruntime_qnn")
    return opened(folder, "npu:qnn")


def test_the_npu_answers_as_the_cpu_does(on_npu: Onnx, on_cpu: Onnx) -> None:
    for question, image in questions(4):
        answers = [
            found.evaluate(asked(found, question, image), 8, stop_at_end=True, top=1)
            for found in (on_npu, on_cpu)
        ]
        assert answers[0].tokens == answers[1].tokens
        likeliest = [answer.first_logprobs[0][1] for answer in answers]
        assert likeliest[0] == pytest.approx(likeliest[1], abs=0.2)


def test_a_single_row_is_normalised_as_many_are(on_npu: Onnx, on_cpu: Onnx) -> None:
    """As operators of their own the norms came out 15 times too small on the emulator."""
    ids = on_cpu.tokenize("what color is the shape?")
    np.testing.assert_allclose(
        logits(on_npu, ids, [len(ids) - 1, 1]), logits(on_cpu, ids, [len(ids) - 1, 1]), atol=0.5
    )


def test_the_npu_says_what_it_did(on_npu: Onnx) -> None:
    applied = on_npu.applied()
    assert applied["settings"]["device"] == "npu:qnn"
    assert "onnxruntime-qnn=" in applied["runtime_build"]
    assert applied["emulated"] == ("emulating, htp_arch=75" in applied["runtime_build"])


def test_what_the_npu_does_not_take_is_refused(on_npu: Onnx) -> None:
    """Shapes that are not fixed, for one."""
    with pytest.raises(ArtifactRefused, match="Dynamic shape is not supported"):
        opened(exported("fp32", MODEL.id), "npu:qnn")
