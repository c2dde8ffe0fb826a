"""ONNX Runtime for real, in this process: every layout of tiny random weights against transformers,
and exports of SmolLM2-135M against transformers and llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tiny_onnx
from tiny_onnx import SETTINGS, asked, runtime
from workers import PATIENCE, TINY, outcome, real
from workers import SETTINGS as LLAMACPP_SETTINGS

from harness import prepare
from harness.ask import models
from harness.run.chat_template import render
from harness.run.limit import Cap
from harness.run.manager import Worker
from harness.run.records import Applied, MemoryData
from harness.run.runtimes import RUNTIMES, fixed_prompt, onnx_graph
from harness.run.runtimes.onnx import Onnx

LAYOUTS = ("one", "parts")
MODEL = models.load()["smollm2-135m-instruct"]


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


@pytest.fixture(scope="session", params=["fp32", "int4"])
def export(request: pytest.FixtureRequest) -> Path:
    return exported(request.param)


@pytest.fixture(scope="session")
def fp32() -> Path:
    return exported("fp32")


def exported(quantisation: str) -> Path:
    return prepare.prepare(MODEL, MODEL.artifact(quantisation, ("onnx",))).path


def greedy(model: Any, prompt: list[int], new_tokens: int) -> list[int]:
    """What transformers answers, never ending before."""
    import torch

    ids = torch.tensor([prompt])
    with torch.inference_mode():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=None,
            max_new_tokens=new_tokens,
            eos_token_id=-1,
            pad_token_id=0,
        )
    return list(made[0, len(prompt) :].tolist())


def first_logits(found: Onnx, prompt: list[int]) -> Any:
    """Of the token after the prompt, as `evaluate` reads them."""
    from harness.run.runtimes.onnx_call import Call

    found._cache.clear()
    call = Call(found._sessions, found._cache, len(prompt), range(1))
    call.ids[0] = prompt
    return call.run(0).copy()


def reference_logits(model: Any, prompt: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor([prompt])).logits[0, -1].numpy()


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


def test_an_export_keeps_its_cache_in_place(export: Path) -> None:
    decoder = onnx_graph.find(export).decoder
    assert decoder.in_place
    assert len(decoder.cache) == 2 * MODEL.geometry.layers


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
    _computed_whole(runtime(folder))


def test_a_buffer_forgets_the_prompt_before(fp32: Path) -> None:
    _computed_whole(runtime(fp32))


def _computed_whole(found: Onnx) -> None:
    prefix = fixed_prompt(40, found.vocabulary())
    answers = []
    for prompt in (prefix, [*prefix, 5, 6, 7], [*prefix, 5, 6, 7], prefix[:20], prefix):
        answer = found.evaluate(prompt, 3, stop_at_end=False)
        assert answer.evaluated_tokens == len(prompt)
        answers.append(answer.tokens)
    assert answers[0] == answers[-1]
    assert answers[1] == answers[2]


def test_evaluated_tokens_are_counted_in_the_cache(fp32: Path, folder: Path) -> None:
    for found in (runtime(fp32), runtime(folder)):
        first_logits(found, fixed_prompt(10, found.vocabulary()))
        assert found._cache.filled() == 10
        found._cache.clear()
        assert found._cache.filled() == 0


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


# The real model


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


@pytest.fixture(scope="session")
def dequantised() -> Any:
    """The GGUF file's weights in transformers, in fp32."""
    import torch
    from transformers import AutoModelForCausalLM

    gguf = prepare.prepare(MODEL, MODEL.artifacts[0]).path
    return AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, local_files_only=True
    ).eval()


def test_the_fp32_export_answers_as_transformers_does(fp32: Path, dequantised: Any) -> None:
    found = runtime(fp32, threads=2)
    for text in PROMPTS:
        prompt = found.tokenize(text)
        expected = reference_logits(dequantised, prompt)
        np.testing.assert_allclose(first_logits(found, prompt), expected, atol=1e-3)
        answer = found.evaluate(prompt, 8, stop_at_end=False, top=3)
        assert answer.tokens == greedy(dequantised, prompt, 8), text
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


def test_the_int4_export_is_close_to_transformers(dequantised: Any) -> None:
    """Four bits a weight, by rounding, cost a model of this size much of its accuracy: 12 of the 21
    prompts had the same first token here. A wrong scale or layout leaves none."""
    found, agreed, alike = runtime(exported("int4"), threads=2), 0, []
    for text in PROMPTS:
        prompt = found.tokenize(text)
        expected, logits = reference_logits(dequantised, prompt), first_logits(found, prompt)
        agreed += int(expected.argmax() == logits.argmax())
        alike.append(float(np.corrcoef(expected, logits)[0, 1]))
    assert agreed >= 10
    assert np.mean(alike) > 0.85
    assert min(alike) > 0.7


def test_tokens_are_those_of_llama_cpp(fp32: Path) -> None:
    from harness.run.runtimes.llamacpp import LlamaCpp

    other = LlamaCpp()
    other.load(str(prepare.prepare(MODEL, MODEL.artifacts[0]).path), LLAMACPP_SETTINGS)
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
    assert per_token == pytest.approx(MODEL.geometry.kv_bytes_per_token(4), rel=0.04)


def test_a_cache_that_does_not_fit_under_a_cap_is_out_of_memory() -> None:
    """Weights and libraries take 153 MiB, the cache 360."""
    wanted = request("memory", exported("int4"), settings=asked(context=8192))
    worker = Worker(wanted, PATIENCE, watched=True, cap=Cap(450 << 20))
    _, error = outcome(worker)
    assert error is not None
    assert error.cause == "out_of_memory"
    assert [phase["name"] for phase in worker.phases][:2] == ["import", "load"]


def request(workload: str, folder: Path, **changes: Any) -> Any:
    known = {"runtime": RUNTIMES["onnx"].target, "settings": SETTINGS, "shape": TINY}
    return real(workload, folder, **(known | changes))


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
