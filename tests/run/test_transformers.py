"""transformers for real, in this process: SmolLM2-135M, and small random models in folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import llamas
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as some
from tiny_models import FAMILIES, SPECIAL, TEMPLATE, write_model
from transformers import AutoModelForCausalLM
from workers import PATIENCE, outcome, real

from harness.ask import models
from harness.run.chat_template import render
from harness.run.manager import Worker
from harness.run.protocol import Settings
from harness.run.records import Applied, LoadData, MemoryData, SpeedData
from harness.run.runtimes import RUNTIMES, ArtifactRefused, fixed_prompt, settings_for
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.runtimes.transformers import Transformers
from harness.run.values import context_growth

TARGET = RUNTIMES["transformers"].target
SETTINGS = settings_for("transformers", "cpu", threads=1, context=256)
GEOMETRY = models.load()["smollm2-135m-instruct"].geometry
FP32 = 4  # bytes
WEIGHTS = GEOMETRY.parameters() * FP32
KV_PER_TOKEN = GEOMETRY.kv_bytes_per_token(FP32)

TALK = [
    {"role": "system", "content": "You know the function f(x: int)."},
    {"role": "user", "content": 'Call it with 12. {"name": "f"} <tool_call> 🙂'},
]
TEXTS = (
    "The capital of France is",
    "def fibonacci(n):\n\tif n < 2:\n        return n",
    "Zoë paid 3 €, 1,234.50 or  12 dollars:   7 日本語 🙂👩‍👩‍👧 ½ ٣",
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|><tool_call>",
    "  leading and trailing  \n\n\r\n x" + "x" * 300,
    "don't I'LL we've 's",
)


def asked(**changes: Any) -> Settings:
    """SETTINGS but for these, the runtime's own among them."""
    common = {name: changes.pop(name) for name in ("threads", "context") if name in changes}
    return replace(SETTINGS, **common, options=SETTINGS.options | changes)


def runtime(path: Path, **changes: Any) -> Transformers:
    found = Transformers()
    found.load(str(path), asked(**changes))
    found.create_context()
    return found


@pytest.fixture(scope="module")
def llama(smollm2: Path) -> LlamaCpp:
    return llamas.ready(smollm2, settings_for("llama.cpp", "cpu", threads=1, context=512))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def generated(model: Any, prompt: list[int], new_tokens: int) -> list[int]:
    """The library's own greedy answer."""
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    whole = torch.ones_like(ids)  # without it, padding tokens in the prompt would be left out
    answer = model.generate(ids, attention_mask=whole, do_sample=False, max_new_tokens=new_tokens)
    return list(answer[0, len(prompt) :].tolist())


# What it did


def test_an_answer_stops_where_it_is_told_to(folder: Path) -> None:
    found, prompt = runtime(folder), [5, 6, 7]
    whole = found.evaluate(prompt, 8, stop_at_end=False)
    for kept in (1, 4):
        cut = found.evaluate(prompt, 8, stop_at_end=False, stop=lambda said, n=kept: len(said) == n)
        assert (cut.tokens, cut.stopped) == (whole.tokens[:kept], "stop")
        assert cut.evaluated_tokens == 3


@pytest.mark.parametrize(
    "changes",
    [{}, {"threads": 2}, {"context": 100}, {"attention": "eager"}, {"dtype": "bfloat16"}],
    ids=str,
)
def test_settings_are_read_back_as_asked(changes: dict[str, Any], folder: Path) -> None:
    applied = Applied.model_validate(runtime(folder, **changes).applied())
    assert applied.settings == asked(**changes)
    assert applied.runtime_build.startswith("transformers 5")


def test_settings_are_asked_back_and_not_repeated(folder: Path) -> None:
    found = runtime(folder)
    found._model.to(torch.float16)
    found._model.set_attn_implementation("eager")
    torch.set_num_threads(2)
    told = found.applied()["settings"]
    assert told["options"] == {"dtype": "float16", "attention": "eager"}
    assert told["threads"] == 2


def test_a_quantisation_decides_the_dtype() -> None:
    names = ("Q4_1", "fp32", "bf16", "fp16", "BF16", "F16")
    options = [settings_for("transformers", "cpu", 1, 256, name).options for name in names]
    assert [one["dtype"] for one in options] == [
        "float32", "float32", "bfloat16", "float16", "bfloat16", "float16"
    ]  # fmt: skip


def test_weights_and_cache_are_weighed(dequantised: Transformers) -> None:
    applied = dequantised.applied()
    assert sum(applied["weight_buffers"].values()) == pytest.approx(WEIGHTS, rel=0.001)
    assert list(applied["weight_buffers"]) == ["cpu float32"]
    assert applied["kv_bytes"] == 256 * KV_PER_TOKEN


def test_layers_with_a_window_keep_no_more_than_it(tmp_path: Path) -> None:
    found = runtime(write_model(tmp_path / "m", "gemma3_text"))
    found.evaluate(fixed_prompt(100, 300), 2, stop_at_end=False)
    a_token = 2 * 2 * 16 * FP32
    assert found.applied()["kv_bytes"] == a_token * (256 + 2 * (8 - 1))
    assert found.applied()["settings"]["context"] == 256


# Answers


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_of_a_folder_are_those_of_generate(
    family: str, attention: str, dtype: str, tmp_path: Path
) -> None:
    path = write_model(tmp_path / "m", family, dtype)
    found = runtime(path, attention=attention, dtype=dtype)
    reference = AutoModelForCausalLM.from_pretrained(path, attn_implementation=attention)
    for length in (1, 7, 8, 9, 100):
        prompt = fixed_prompt(length, 300)
        answer = found.evaluate(prompt, 24, stop_at_end=False)
        assert answer.tokens == generated(reference, prompt, 24)
        assert answer.evaluated_tokens == length


Answers = list[tuple[list[int], list[int]]]


@pytest.fixture(scope="module")
def answers(dequantised: Transformers) -> Answers:
    """To each text: its tokens, and those that are said then."""
    prompts = [dequantised.tokenize(text)[:100] for text in TEXTS]
    return [(one, dequantised.evaluate(one, 16, stop_at_end=False).tokens) for one in prompts]


def test_answers_of_a_gguf_file_are_those_of_generate(
    dequantised: Transformers, answers: Answers
) -> None:
    for prompt, said in answers:
        assert said == generated(dequantised._model, prompt, 16)


def test_answers_are_close_to_llama_cpps(answers: Answers, llama: LlamaCpp) -> None:
    """llama.cpp rounds activations to 8 bits: where two words are about as likely, they part."""
    alike = [
        sum(
            one == other
            for one, other in zip(
                said, llama.evaluate(prompt, 16, stop_at_end=False).tokens, strict=True
            )
        )
        for prompt, said in answers
    ]
    assert sum(alike) >= 0.5 * 16 * len(TEXTS), alike


def test_the_same_greedy_answer_whatever_was_asked_before(dequantised: Transformers) -> None:
    prompts = [dequantised.tokenize(text) for text in TEXTS[:3]]
    first = [dequantised.evaluate(one, 4, stop_at_end=False).tokens for one in prompts]
    again = [dequantised.evaluate(one, 4, stop_at_end=False).tokens for one in reversed(prompts)]
    assert first == again[::-1]
    assert len({tuple(one) for one in first}) == len(prompts)


def test_every_prompt_is_computed_whole_however_much_it_shares(folder: Path) -> None:
    found, prefix = runtime(folder), fixed_prompt(40, 300)
    for prompt in (prefix, [*prefix, 5, 6, 7], [*prefix, 5, 6, 7], prefix[:20]):
        assert found.evaluate(prompt, 2, stop_at_end=False).evaluated_tokens == len(prompt)


def test_a_cache_that_was_not_empty_shows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = runtime(folder)
    found.evaluate([5, 6, 7], 1, stop_at_end=False)
    monkeypatch.setattr(found, "_new_cache", lambda: found._cache)
    assert found.evaluate([8, 9], 1, stop_at_end=False).evaluated_tokens == 5


def test_times_are_in_order(folder: Path) -> None:
    answer = runtime(folder).evaluate(fixed_prompt(64, 300), 4, stop_at_end=False)
    assert 0 < answer.prefill_seconds < answer.first_token_seconds
    assert len(answer.token_seconds) == 3
    assert min(answer.token_seconds) > 0


def test_an_answer_ends_with_the_turn_where_asked_to(dequantised: Transformers) -> None:
    messages = [{"role": "user", "content": "Say only: hello."}]
    ids = dequantised.tokenize(render(dequantised.chat_template(), messages))
    answer = dequantised.evaluate(ids, 60, stop_at_end=True)
    assert answer.stopped == "end"
    assert dequantised.detokenize(answer.tokens[-1:]) == "<|im_end|>"
    on = dequantised.evaluate(ids, len(answer.tokens) + 5, stop_at_end=False)
    assert (on.stopped, len(on.tokens)) == ("length", len(answer.tokens) + 5)
    assert on.tokens[: len(answer.tokens)] == answer.tokens


def test_each_end_that_a_folder_names_ends_an_answer(folder: Path) -> None:
    plain = runtime(folder).evaluate([5], 8, stop_at_end=False).tokens
    other = next(token for token in plain if token > 2)
    named = json.dumps({"eos_token_id": [0, other]})
    (folder / "generation_config.json").write_text(named)
    found = runtime(folder)
    assert found._ends == {0, other, SPECIAL.index("<|im_end|>")}
    assert found.evaluate([5], 8, stop_at_end=True).tokens == plain[: plain.index(other) + 1]


# Words


@pytest.mark.parametrize("text", TEXTS)
def test_token_ids_are_llama_cpps(text: str, dequantised: Transformers, llama: LlamaCpp) -> None:
    ids = dequantised.tokenize(text)
    assert ids == llama.tokenize(text)
    assert dequantised.detokenize(ids) == llama.detokenize(ids) == text


@given(some.text(alphabet=some.characters(codec="utf-8", exclude_characters="\0")))
def test_token_ids_of_any_text_are_llama_cpps(
    dequantised: Transformers, llama: LlamaCpp, text: str
) -> None:
    """Of what the vocabulary can spell: it has no token for six control characters and two bytes.

    Both leave those out; transformers then joins what stood around one, and llama.cpp does not.
    """
    ids = llama.tokenize(text)
    assume(llama.detokenize(ids) == text)
    assert dequantised.tokenize(text) == ids


def test_the_rendered_prompt_is_llama_cpps(dequantised: Transformers, llama: LlamaCpp) -> None:
    assert dequantised.chat_template() == llama.chat_template()
    prompt = render(dequantised.chat_template(), TALK)
    assert "<|im_start|>system\nYou know" in prompt
    assert dequantised.tokenize(prompt) == llama.tokenize(prompt)


def test_special_tokens_are_recognised_and_none_is_added(folder: Path) -> None:
    found = runtime(folder)
    assert found.tokenize("<|im_start|>a") == [1, found.tokenize("a")[0]]
    assert found.tokenize("") == []
    assert found.detokenize([1, *found.tokenize("é")[:1]]) == "<|im_start|>\ufffd"
    assert found.chat_template() == TEMPLATE


def test_a_way_to_split_text_that_is_not_known_is_no_guess(
    dequantised: Transformers, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.run.runtimes.transformers._SPLITS", {})
    with pytest.raises(ArtifactRefused, match="'smollm' is not known"):
        dequantised._read_tokenizer(dequantised._locate(smollm2))


def test_the_header_gives_facts(dequantised: Transformers, llama: LlamaCpp) -> None:
    assert dequantised.header() == llama.header()
    assert dequantised.vocabulary() == llama.vocabulary()


# In a worker


def measured(workload: str, path: Path, watched: bool = False, **changes: Any) -> dict[str, Any]:
    request = real(workload, path, **({"runtime": TARGET, "settings": SETTINGS} | changes))
    worker = Worker(request, PATIENCE, watched=watched)
    (said,), error = outcome(worker)
    assert error is None
    return said | ({"phases": worker.phases, "sampler": worker.sampler} if watched else {})


def test_memory_is_that_of_the_weights(smollm2: Path) -> None:
    said = MemoryData.model_validate(measured("memory", smollm2, watched=True))
    ends = {phase.name: phase.anonymous_end for phase in said.phases}
    # Reading a GGUF leaves some 150 MB with the process: code that is loaded, gaps in the heap.
    assert 0 < ends["load"] - ends["import"] - WEIGHTS < 250e6


def test_memory_grows_by_the_cache_of_a_context(tmp_path: Path) -> None:
    """Between two contexts far apart, so that what does not grow with them falls out."""
    shape = {"num_key_value_heads": 8, "num_attention_heads": 8, "head_dim": 128}
    path = write_model(tmp_path / "m", max_position_embeddings=8192, **shape)
    per_token = 2 * 3 * 8 * 128 * FP32
    found = [
        MemoryData.model_validate(measured("memory", path, True, settings=asked(context=size)))
        for size in (2048, 8192)
    ]
    short, long = (context_growth(one) or 0 for one in found)
    assert (long - short) / (8192 - 2048) == pytest.approx(per_token, rel=0.01)
    assert found[1].applied.kv_bytes == 8192 * per_token


def test_the_load_of_a_folder_can_be_measured(folder: Path) -> None:
    LoadData.model_validate(measured("load", folder, page_cache="warm"))


def test_two_processes_give_the_same_greedy_answer(folder: Path) -> None:
    one, other = (SpeedData.model_validate(measured("speed", folder)) for _ in range(2))
    assert one.output == other.output
