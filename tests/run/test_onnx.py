"""ONNX Runtime for real: every layout of tiny random weights against transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_onnx
from onnx_reference import (
    computed_whole,
    counted_in_the_cache,
    first_logits,
    greedy,
    reference_logits,
    request,
)
from tiny_onnx import SETTINGS, asked, runtime
from workers import PATIENCE, outcome

from harness.run.manager import Worker
from harness.run.records import Applied
from harness.run.runtimes import fixed_prompt, onnx_graph
from harness.run.runtimes.onnx import Onnx

LAYOUTS = ("one", "parts")


@pytest.fixture(scope="module")
def reference() -> Any:
    return tiny_onnx.transformers_model()


@pytest.fixture(scope="module", params=LAYOUTS)
def folder(request: pytest.FixtureRequest, reference: Any, tmp_path_factory: Any) -> Path:
    place: Path = tmp_path_factory.mktemp(request.param)
    return tiny_onnx.write(place, reference, request.param)


@pytest.fixture
def copy(reference: Any, tmp_path: Path) -> Path:
    """Of the layout `one`, weights in a file beside the graph; to be spoilt."""
    return tiny_onnx.write(tmp_path / "copy", reference, external="weights.bin")


# Layouts


def test_a_layout_answers_as_transformers_does(folder: Path, reference: Any) -> None:
    found = runtime(folder)
    for length in (1, 2, 7, 31):
        prompt = fixed_prompt(length, found.vocabulary())
        answer = found.evaluate(prompt, 20, stop_at_end=False)
        assert answer.tokens == greedy(reference, prompt, 20)
        assert answer.evaluated_tokens == length
        expected = reference_logits(reference, prompt)
        np.testing.assert_allclose(first_logits(found, prompt), expected, rtol=1e-4, atol=1e-4)
    assert len(set(answer.tokens)) > 3


def test_an_answer_stops_where_it_is_told_to(folder: Path) -> None:
    found, prompt = runtime(folder), [5, 6, 7]
    whole = found.evaluate(prompt, 8, stop_at_end=False)
    for kept in (1, 4):
        cut = found.evaluate(prompt, 8, stop_at_end=False, stop=lambda said, n=kept: len(said) == n)
        assert (cut.tokens, cut.stopped) == (whole.tokens[:kept], "stop")
        assert cut.evaluated_tokens == 3


def test_only_what_is_run_is_loaded(reference: Any, tmp_path: Path) -> None:
    """The vision encoder of the layout `parts` could not be loaded."""
    folder = tiny_onnx.write(tmp_path, reference, "parts")
    with pytest.raises(Exception, match="NoSuchOperator"):
        Onnx._session(_asked_of(folder), folder / "vision_encoder.onnx")
    assert runtime(folder).vocabulary() == tiny_onnx.VOCABULARY


def _asked_of(folder: Path) -> Onnx:
    found = Onnx()
    found.load(str(folder), SETTINGS)
    return found


def test_layouts_are_told_apart_by_what_goes_in_and_out(reference: Any, tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path, reference, "parts")
    for number, path in enumerate(sorted(folder.glob("*.onnx"))):
        path.rename(folder / f"{number}.onnx")
    parts = onnx_graph.find(folder)
    assert parts.decoder.path.name == "0.onnx"
    assert parts.embedder is not None
    assert parts.embedder.path.name == "1.onnx"
    assert not parts.decoder.in_place


def test_logits_of_more_tokens_than_the_last_are_asked_for_by_number(
    reference: Any, tmp_path: Path
) -> None:
    """Graphs of transformers.js may take how many they shall give."""
    folder = tiny_onnx.write(tmp_path, reference)
    path = folder / "model.onnx"
    model = onnx.load(path)
    graph, number = model.graph, "num_logits_to_keep"
    graph.input.append(onnx.helper.make_tensor_value_info(number, onnx.TensorProto.INT64, []))
    head = graph.node[-1]
    start = onnx.helper.make_node("Neg", [number], ["start"])
    shape = onnx.helper.make_node("Reshape", ["start", "one"], ["starts"])
    end = onnx.numpy_helper.from_array(np.array([1 << 30]), "end")
    axis = onnx.numpy_helper.from_array(np.array([1]), "one")
    cut = onnx.helper.make_node("Slice", [head.input[0], "starts", "end", "one"], ["kept"])
    head.input[0] = "kept"
    for node in (start, shape, cut):
        graph.node.insert(len(graph.node) - 1, node)
    graph.initializer.extend([end, axis])
    onnx.save(model, path)
    prompt = fixed_prompt(9, tiny_onnx.VOCABULARY)
    found = runtime(folder)
    assert found.evaluate(prompt, 8, stop_at_end=False).tokens == greedy(reference, prompt, 8)


# Promises of every runtime


def test_every_prompt_is_computed_whole_however_much_it_shares(folder: Path) -> None:
    computed_whole(runtime(folder))


def test_evaluated_tokens_are_counted_in_the_cache(folder: Path) -> None:
    counted_in_the_cache(runtime(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"context": 32},
        {"threads": 2},
        {"graph_optimisation": "none"},
        {"execution_mode": "parallel"},
        {"memory_arena": False},
        {"spinning": False},
    ],
    ids=str,
)
def test_settings_are_read_back_as_asked(changes: dict[str, Any], folder: Path) -> None:
    found = runtime(folder, **changes)
    applied = Applied.model_validate(found.applied())
    assert applied.settings == asked(**changes)
    assert applied.settings.device == "cpu"
    assert "ORT Build Info" in applied.runtime_build
    prompt = fixed_prompt(5, found.vocabulary())
    assert len(found.evaluate(prompt, 4, stop_at_end=False).tokens) == 4


def test_settings_are_asked_back_and_not_repeated(folder: Path) -> None:
    found = runtime(folder)
    found._settings = asked(threads=7, spinning=False)
    applied = found.applied()["settings"]
    assert applied["threads"] == 1
    assert applied["options"]["spinning"] is True


def test_an_answer_ends_with_the_turn_where_asked_to(folder: Path) -> None:
    found = runtime(folder)
    for seed in range(1, 60):
        prompt = fixed_prompt(seed, found.vocabulary())[-4:]
        on = found.evaluate(prompt, 20, stop_at_end=False)
        if tiny_onnx.END in on.tokens[:-1]:
            break
    answer = found.evaluate(prompt, 20, stop_at_end=True)
    assert answer.stopped == "end"
    assert answer.tokens[-1] == tiny_onnx.END
    assert answer.tokens == on.tokens[: len(answer.tokens)]
    assert len(answer.token_seconds) == len(answer.tokens) - 1
    assert answer.evaluated_tokens == len(prompt)
    assert on.stopped == "length"


def test_times_are_in_order(folder: Path) -> None:
    found = runtime(folder)
    answer = found.evaluate(fixed_prompt(16, found.vocabulary()), 4, stop_at_end=False)
    assert 0 < answer.prefill_seconds < answer.first_token_seconds
    assert len(answer.token_seconds) == 3
    assert min(answer.token_seconds) > 0


def test_two_processes_give_the_same_greedy_answer(folder: Path) -> None:
    said = [outcome(Worker(request("speed", folder), PATIENCE))[0][0] for _ in range(2)]
    assert said[0]["output"] == said[1]["output"]
    assert said[0]["repeats"][0]["evaluated_tokens"] == 8


@pytest.mark.parametrize(("page_cache", "share"), [("cold", 0.0), ("warm", 1.0)])
def test_a_load_starts_with_all_files_cached_or_none(
    page_cache: str, share: float, copy: Path
) -> None:
    (said,), error = outcome(Worker(request("load", copy, page_cache=page_cache), PATIENCE))
    assert error is None
    assert said["cached_before"] == pytest.approx(share, abs=0.01)
