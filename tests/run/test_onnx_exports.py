"""Exports of SmolLM2-135M in ONNX Runtime, against transformers and llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llamas
import numpy as np
import pytest
from onnx_reference import (
    MODEL,
    computed_whole,
    counted_in_the_cache,
    exported,
    first_logits,
    greedy,
    reference_logits,
    request,
)
from tiny_onnx import asked, runtime
from workers import PATIENCE, outcome

from harness.run.chat_template import render
from harness.run.limit import Cap
from harness.run.manager import Worker
from harness.run.records import MemoryData
from harness.run.runtimes import onnx_graph


@pytest.fixture(scope="session", params=["fp32", "int4"])
def export(request: pytest.FixtureRequest) -> Path:
    return exported(request.param)


@pytest.fixture(scope="session")
def fp32() -> Path:
    return exported("fp32")


def test_an_export_keeps_its_cache_in_place(export: Path) -> None:
    decoder = onnx_graph.find(export).decoder
    assert decoder.in_place
    assert len(decoder.cache) == 2 * MODEL.geometry.layers


def test_a_buffer_forgets_the_prompt_before(fp32: Path) -> None:
    computed_whole(runtime(fp32))


def test_tokens_are_counted_in_a_buffer(fp32: Path) -> None:
    counted_in_the_cache(runtime(fp32))


PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n",
    "Once upon a time there was a machine that",
    "Zoë paid 3 €: 日本語 🙂\n\ttab  two spaces",
    "1234567890 + 22 = ",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "Water boils at",
    "The quick brown fox",
    "import numpy as np\n",
    "Dear Sir or Madam,\n\n",
    "In 1969, the first",
    "A list of colours: red,",
    "Q: What is 2+2?\nA:",
    "The opposite of hot is",
    "SELECT name FROM",
    "My favourite food is",
    "The sun rises in the",
    "Roses are red,",
    "#include <stdio.h>\n",
    "To be or not to be,",
    "Photosynthesis is the process",
)


def test_the_fp32_export_answers_as_transformers_does(fp32: Path, dequantised: Any) -> None:
    found = runtime(fp32, threads=2)
    for text in PROMPTS:
        prompt = found.tokenize(text)
        expected = reference_logits(dequantised._model, prompt)
        np.testing.assert_allclose(first_logits(found, prompt), expected, atol=1e-3)
        answer = found.evaluate(prompt, 8, stop_at_end=False, top=3)
        assert answer.tokens == greedy(dequantised._model, prompt, 8), text
        assert answer.first_logprobs[0][0] == answer.tokens[0]
        assert answer.evaluated_tokens == len(prompt)


def test_the_int4_export_answers_as_its_graph_does() -> None:
    """The same graph through `run` and NumPy, a new session, no binding, no buffer."""
    import onnxruntime as api  # not before the runtime, which silences it

    folder = exported("int4")
    found = runtime(folder, threads=2)
    session = api.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for text in PROMPTS[:5]:
        prompt = found.tokenize(text)
        assert found.evaluate(prompt, 8, stop_at_end=False).tokens == unbound(session, prompt, 8)


def unbound(session: Any, prompt: list[int], new_tokens: int) -> list[int]:
    """A greedy answer with everything copied at each step."""
    shape, tokens, ids = MODEL.geometry, list[int](), prompt
    pasts = [one.name for one in session.get_inputs() if one.name.startswith("past")]
    cache = [np.zeros((1, shape.kv_heads, 0, shape.head_dim), np.float32) for _ in pasts]
    while len(tokens) < new_tokens:
        mask = np.ones((1, cache[0].shape[2] + len(ids)), np.int64)
        fed = dict(zip(pasts, cache, strict=True))
        logits, *cache = session.run(
            None, {"input_ids": np.array([ids], np.int64), "attention_mask": mask, **fed}
        )
        tokens.append(int(logits[0, -1].argmax()))
        ids = tokens[-1:]
    return tokens


@pytest.mark.parametrize(
    ("precision", "alike", "mean", "least"), [("int8", 19, 0.995, 0.99), ("int4", 10, 0.85, 0.7)]
)
def test_a_quantised_export_is_close_to_transformers(
    precision: str, alike: int, mean: float, least: float, dequantised: Any
) -> None:
    """Four bits a weight, by rounding, cost a model of this size much of its accuracy: 12 of the 21
    prompts had the same first token here, 20 with eight. A wrong scale or layout leaves none."""
    found, agreed, correlations = runtime(exported(precision), threads=2), 0, []
    for text in PROMPTS:
        prompt = found.tokenize(text)
        logits = first_logits(found, prompt)
        expected = reference_logits(dequantised._model, prompt)
        agreed += int(expected.argmax() == logits.argmax())
        correlations.append(float(np.corrcoef(expected, logits)[0, 1]))
    assert agreed >= alike
    assert np.mean(correlations) > mean
    assert min(correlations) > least


def test_tokens_are_those_of_llama_cpp(fp32: Path, smollm2: Path) -> None:
    other = llamas.runtime(smollm2)
    found = runtime(fp32)
    for text in (*PROMPTS, "", "x" * 300, "a\u0301 \r\n\x00", "3.14159 and 1,000,000"):
        ids = found.tokenize(text)
        assert ids == other.tokenize(text), text
        assert found.detokenize(ids) == other.detokenize(ids)
    assert found.vocabulary() == other.vocabulary()
    assert found.chat_template() == other.chat_template()


def test_special_tokens_are_recognised_and_none_is_added(fp32: Path) -> None:
    found = runtime(fp32)
    assert len(found.tokenize("<|im_start|>")) == 1
    assert found.tokenize("") == []
    assert found.detokenize(found.tokenize("<|im_start|>")) == "<|im_start|>"
    assert found.detokenize(found.tokenize("🙂")[:1]) == "\ufffd"


def test_a_turn_of_the_real_model_ends(fp32: Path) -> None:
    found = runtime(fp32, threads=2, context=256)
    prompt = render(found.chat_template(), [{"role": "user", "content": "Say only: hello."}])
    answer = found.evaluate(found.tokenize(prompt), 60, stop_at_end=True)
    assert answer.stopped == "end"
    assert found.detokenize(answer.tokens[-1:]) == "<|im_end|>"


def test_the_cache_takes_what_the_arithmetic_says(fp32: Path) -> None:
    found = runtime(fp32, context=512)
    expected = MODEL.geometry.kv_bytes_per_token(bytes_per_value=4) * 512
    assert found.applied()["kv_bytes"] == expected


def test_memory_is_seen_by_phase(fp32: Path) -> None:
    """The cache is there once the context is."""
    grown = []
    for context in (512, 4096):
        worker = Worker(
            request("memory", fp32, settings=asked(context=context)), PATIENCE, watched=True
        )
        (said,), error = outcome(worker)
        assert error is None
        data = {"phases": worker.phases, "sampler": worker.sampler}
        phases = {one.name: one for one in MemoryData.model_validate(said | data).phases}
        grown.append(phases["context"].anonymous_end - phases["load"].anonymous_end)
    per_token = (grown[1] - grown[0]) / (4096 - 512)
    # What else a call holds by token adds 3 to 5%.
    assert per_token == pytest.approx(MODEL.geometry.kv_bytes_per_token(4), rel=0.06)


def test_a_cache_that_does_not_fit_under_a_cap_is_out_of_memory() -> None:
    """Weights and libraries take 153 MiB, the cache 360."""
    wanted = request("memory", exported("int4"), settings=asked(context=8192))
    worker = Worker(wanted, PATIENCE, watched=True, cap=Cap(450 << 20))
    _, error = outcome(worker)
    assert error is not None
    assert error.cause == "out_of_memory"
    assert [phase["name"] for phase in worker.phases][:2] == ["import", "load"]
