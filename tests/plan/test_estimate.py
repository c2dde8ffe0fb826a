"""Costs: the shape follows the machine's speed and the rule's prompt, and bytes are arithmetic."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from harness.ask import models, tasks
from harness.plan.cells import Cell
from harness.plan.estimate import (
    SAMPLE_BUDGET_SECONDS,
    SHAPES,
    Probe,
    guess,
    memory_available,
    memory_bytes,
    picture_work,
    sample_seconds,
    shape,
)
from harness.run.protocol import Shape

ROOT = Path(__file__).parents[2]
MODELS = models.load(ROOT / "models.yaml")
SPEED = Cell(workload="speed")


def probe(decode: float, prefill: float = 0.0) -> Probe:
    return Probe(load_seconds=1.0, prefill_rate=prefill or 10 * decode, decode_rate=decode)


@pytest.mark.parametrize(
    ("decode", "expected"), [(1000, SHAPES[0]), (12, SHAPES[1]), (5, SHAPES[2]), (0.1, SHAPES[3])]
)
def test_the_most_telling_shape_that_fits_the_budget(decode: float, expected: Shape) -> None:
    assert shape(probe(decode), None) == expected


def test_a_shape_stays_within_its_budget_where_one_can() -> None:
    for decode in (1.5, 3, 10, 30, 100, 300):
        chosen = shape(probe(decode), None)
        fits = sample_seconds(SPEED, probe(decode), chosen, None) <= SAMPLE_BUDGET_SECONDS
        assert fits or chosen == SHAPES[-1]


@pytest.mark.parametrize("tokens", [128, 256, 512, 1000])
def test_a_demanded_prompt_is_kept_however_slow_the_machine(tokens: int) -> None:
    for decode in (0.1, 1000):
        assert shape(probe(decode), tokens).prompt_tokens == tokens


def test_a_demanded_tail_is_kept_however_slow_the_machine() -> None:
    for decode in (0.1, 1000):
        assert shape(probe(decode), 64, 663) == Shape(64, 663, 1)
        assert shape(probe(decode), None, 663).new_tokens == 663


def test_a_picture_is_work_for_the_tower_and_for_the_text_part() -> None:
    """SmolVLM's most: 1377 tokens, and 17 x 729 patches through 0.43 of 1.81 billion weights."""
    model, known = MODELS["smolvlm-2.2b-instruct"], tasks.load(ROOT / "tasks")
    work = picture_work(model, known["docvqa"])
    assert 1377 + 12393 * 0.2 < work < 1377 + 12393 * 0.3
    assert picture_work(MODELS["qwen2.5-vl-3b-instruct"], known["docvqa"]) > 1000
    assert picture_work(model, known["gsm8k"]) == picture_work(model, None) == 0
    assert picture_work(MODELS["smollm3-3b"], known["docvqa"]) == 0
    cell = Cell(task="docvqa")
    without, seen = (
        sample_seconds(cell, probe(20), None, known["docvqa"], one) for one in (0, work)
    )
    assert seen - without == pytest.approx(work / 200)


def test_a_cell_of_more_work_takes_longer() -> None:
    small, large = replace(SHAPES[0], repeats=1), SHAPES[0]
    seconds = [sample_seconds(SPEED, probe(20), one, None) for one in (small, large)]
    assert 0 < seconds[0] < seconds[1]
    assert sample_seconds(Cell(workload="memory"), probe(20), small, None) > 0
    assert sample_seconds(Cell(workload="load"), probe(20), None, None) > 0


def test_a_guess_says_that_it_is_one_and_larger_models_are_slower() -> None:
    small, large = (guess(MODELS[name]) for name in ("smollm2-135m-instruct", "smollm3-3b"))
    assert not small.measured and not large.measured
    assert small.decode_rate > large.decode_rate


def test_memory_grows_with_weights_and_context() -> None:
    model = MODELS["smollm3-3b"]
    four, eight = model.artifact("Q4_0"), model.artifact("Q8_0")
    assert memory_bytes(model, four, 2048) < memory_bytes(model, eight, 2048)
    grown = memory_bytes(model, four, 4096) - memory_bytes(model, four, 2048)
    assert grown == 2048 * model.geometry.kv_bytes_per_token()


@pytest.mark.parametrize(("name", "bits"), [("Q5_K_M", 5.5), ("F16", 16.5), ("unheard-of", 16.0)])
def test_a_quantisation_not_in_the_table_still_has_a_size(name: str, bits: float) -> None:
    model = MODELS["smollm3-3b"]
    artifact = model.artifacts[0].model_copy(update={"quantisation": name})
    least = model.geometry.parameters() * bits / 8
    assert memory_bytes(model, artifact, 0) == pytest.approx(least + (400 << 20), abs=1)


def test_a_runtime_with_a_dtype_of_its_own_needs_the_room_for_that() -> None:
    model = MODELS["smollm2-135m-instruct"]
    artifact = model.artifact("Q4_1")
    whole = memory_bytes(model, artifact, 1000, "float32") - memory_bytes(model, artifact, 0)
    weights = model.geometry.parameters() * (32 - 5) / 8
    assert whole == pytest.approx(weights + 1000 * model.geometry.kv_bytes_per_token(4), abs=2)
    assert guess(model, 32).decode_rate == pytest.approx(guess(model, 5).decode_rate * 5 / 32)


@pytest.mark.parametrize(
    ("quantisation", "size"), [("fp32", 4), ("int8", 4), ("int4", 4), ("q4", 4), ("q4f16", 2)]
)
def test_an_onnx_graph_keeps_its_cache_in_what_it_computes_in(quantisation: str, size: int) -> None:
    model = MODELS["smollm2-135m-instruct"]
    artifact = model.artifact("fp32", ("onnx",)).model_copy(update={"quantisation": quantisation})
    grown = memory_bytes(model, artifact, 1000) - memory_bytes(model, artifact, 0)
    assert grown == 1000 * model.geometry.kv_bytes_per_token(size)


def test_available_memory_is_bytes_or_unknown() -> None:
    there = memory_available()
    assert there is None or there > 1 << 20


def test_no_verdict_reads_an_estimate() -> None:
    """Neither the judge nor what it imports of the plan knows this module.

    But for the file that tells what a claim nobody has tested would take, and calls it a guess.
    """
    judging = set((ROOT / "harness" / "judge").glob("*.py")) - {ROOT / "harness/judge/effort.py"}
    for path in [*sorted(judging), ROOT / "harness/plan/cells.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])]
            module = getattr(node, "module", "") or ""
            if isinstance(node, ast.Import | ast.ImportFrom):
                found = {module, *names, *(f"{module}.{name}" for name in names)}
                assert not found & {"harness.plan.estimate", "harness.plan.planner"}, path


def test_a_shape_fits_graphs_of_fixed_shapes() -> None:
    """The quickest takes 144 tokens, the next 288: more than graphs made for 256 hold."""
    fast = Probe(load_seconds=0.1, prefill_rate=5000, decode_rate=500)
    assert shape(fast, None) == SHAPES[0]
    chosen = shape(fast, None, room=256)
    assert chosen.prompt_tokens + chosen.new_tokens <= 256
    assert shape(fast, None, room=300) == SHAPES[2]
