"""llama.cpp for real, in this process: SmolLM2-135M."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from llamas import new, runtime
from workers import PATIENCE, SETTINGS, asked, outcome, real

from harness.ask import models
from harness.run.chat_template import render
from harness.run.manager import Worker
from harness.run.protocol import Settings
from harness.run.records import Applied, MemoryData
from harness.run.runtimes import ArtifactRefused, NoRoom, fixed_prompt
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.values import context_growth

PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n",
    "Once upon a time there was a machine that",
)


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> LlamaCpp:
    return runtime(smollm2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"context": 1024},
        {"batch": 128, "ubatch": 64},
        {"flash_attention": False},
        {"mmap": False},
        {"threads": 2},
        {"context": 512, "batch": 512, "flash_attention": False, "mmap": False, "threads": 2},
    ],
    ids=str,
)
def test_settings_are_read_back_as_asked(changes: dict[str, Any], smollm2: Path) -> None:
    applied = Applied.model_validate(runtime(smollm2, **changes).applied())
    assert applied.settings == asked(**changes)
    assert applied.settings.device == "cpu"
    assert applied.weight_buffers
    assert applied.runtime_build


def test_settings_are_asked_back_and_not_repeated(smollm2: Path) -> None:
    """llama.cpp rounds a context up to 256 and caps batches by it: both must show."""
    applied = runtime(smollm2, context=300, batch=4096, ubatch=4096).applied()
    assert applied["settings"]["context"] == 512
    assert applied["settings"]["options"]["batch"] < 4096


def test_weights_are_mapped_or_read_as_asked(smollm2: Path) -> None:
    assert any("Mapped" in name for name in runtime(smollm2).applied()["weight_buffers"])
    buffers = runtime(smollm2, mmap=False).applied()["weight_buffers"]
    assert not any("Mapped" in name for name in buffers)


def test_every_prompt_is_computed_whole_however_much_it_shares(loaded: LlamaCpp) -> None:
    prefix = fixed_prompt(40, loaded.vocabulary())
    for prompt in (prefix, [*prefix, 5, 6, 7], [*prefix, 5, 6, 7], prefix[:20]):
        assert loaded.evaluate(prompt, 2, stop_at_end=False).evaluated_tokens == len(prompt)


def test_a_prompt_longer_than_a_batch_is_computed_whole(smollm2: Path) -> None:
    small = runtime(smollm2, batch=32, ubatch=16)
    prompt = fixed_prompt(100, small.vocabulary())
    assert small.evaluate(prompt, 2, stop_at_end=False).evaluated_tokens == 100


@pytest.mark.parametrize(("batch", "micro", "block"), [(64, 32, 32), (64, 64, 64), (48, 32, 48)])
def test_what_is_taken_from_the_prompt_before_changes_no_bit(
    batch: int, micro: int, block: int, smollm2: Path
) -> None:
    found = runtime(smollm2, batch=batch, ubatch=micro)
    whole = found.tokenize(" ".join(PROMPTS) * 9)[:150]
    assert len(whole) == 150
    prompts = [
        whole[:-20],
        whole,
        whole,
        whole[: 2 * block + 1],
        whole[: 2 * block + 2],
        whole[40:],
    ]
    alone = [found.evaluate(one, 4, stop_at_end=False, top=10) for one in prompts]
    assert not any(one.reused_tokens for one in alone)
    found.evaluate(whole, 4, stop_at_end=False)
    again = [found.evaluate(one, 4, stop_at_end=False, top=10, reuse=True) for one in prompts]
    reused = [one.reused_tokens for one in again]
    assert reused == [(one - one % block) for one in (128, 129, 148, 2 * block - 1, 2 * block, 0)]
    for one, other, prompt in zip(alone, again, prompts, strict=True):
        assert (one.tokens, one.first_logprobs) == (other.tokens, other.first_logprobs)
        assert other.evaluated_tokens + other.reused_tokens == len(prompt)


def test_nothing_is_taken_from_a_cache_that_others_used(smollm2: Path) -> None:
    found = runtime(smollm2, batch=32, ubatch=32)
    prompt = fixed_prompt(80, found.vocabulary())
    first = found.evaluate(prompt, 2, stop_at_end=False, top=10, reuse=True)
    found.likelihoods(prompt[:40], [[5], [6]])
    again = found.evaluate(prompt, 2, stop_at_end=False, top=10, reuse=True)
    assert (first.reused_tokens, again.reused_tokens) == (0, 0)
    assert again.tokens == first.tokens


def test_the_same_greedy_answer_whatever_was_asked_before(loaded: LlamaCpp) -> None:
    ids = [loaded.tokenize(prompt) for prompt in PROMPTS]
    first = [loaded.evaluate(one, 8, stop_at_end=False).tokens for one in ids]
    again = [loaded.evaluate(one, 8, stop_at_end=False).tokens for one in reversed(ids)]
    assert first == again[::-1]
    assert len({tuple(one) for one in first}) == len(PROMPTS)


def test_answers_are_those_of_the_high_level_api(loaded: LlamaCpp, smollm2: Path) -> None:
    other = llama_cpp.Llama(
        str(smollm2), n_ctx=256, n_batch=256, n_ubatch=256, n_threads=1, verbose=False,
        flash_attn=True,
    )  # fmt: skip
    for prompt in PROMPTS:
        ids = other.tokenize(prompt.encode(), add_bos=False, special=True)
        assert loaded.tokenize(prompt) == ids
        other.reset()
        stream = other.generate(ids, top_k=1, temp=0.0, repeat_penalty=1.0)
        expected = [token for token, _ in zip(stream, range(16), strict=False)]
        assert loaded.evaluate(ids, 16, stop_at_end=False).tokens == expected


@pytest.mark.parametrize(
    "text",
    [*PROMPTS, "Zoë paid 3 €: 日本語 🙂\n\ttab", "<|im_start|>user\nHi<|im_end|>\n", "x" * 300],
)
def test_tokens_and_text_turn_into_each_other(text: str, loaded: LlamaCpp) -> None:
    assert loaded.detokenize(loaded.tokenize(text)) == text


def test_special_tokens_are_recognised_and_none_is_added(loaded: LlamaCpp) -> None:
    assert len(loaded.tokenize("<|im_start|>")) == 1
    assert loaded.tokenize("") == []


def test_half_a_character_is_no_error(loaded: LlamaCpp) -> None:
    half = loaded.tokenize("🙂")[:1]
    assert loaded.detokenize(half) == "\ufffd"


def test_an_answer_ends_with_the_turn_where_asked_to(loaded: LlamaCpp) -> None:
    messages = [{"role": "user", "content": "Say only: hello."}]
    ids = loaded.tokenize(render(loaded.chat_template(), messages))
    answer = loaded.evaluate(ids, 60, stop_at_end=True)
    assert answer.stopped == "end"
    assert len(answer.tokens) < 60
    assert loaded.detokenize(answer.tokens[-1:]) == "<|im_end|>"
    assert len(answer.token_seconds) == len(answer.tokens) - 1
    on = loaded.evaluate(ids, len(answer.tokens) + 5, stop_at_end=False)
    assert on.stopped == "length"
    assert on.tokens[: len(answer.tokens)] == answer.tokens
    assert len(on.tokens) == len(answer.tokens) + 5


def test_times_are_in_order(loaded: LlamaCpp) -> None:
    answer = loaded.evaluate(fixed_prompt(64, loaded.vocabulary()), 4, stop_at_end=False)
    assert 0 < answer.prefill_seconds < answer.first_token_seconds
    assert len(answer.token_seconds) == 3
    assert min(answer.token_seconds) > 0


def test_the_header_gives_facts(loaded: LlamaCpp) -> None:
    header = loaded.header()
    geometry = models.load()["smollm2-135m-instruct"].geometry
    assert header["parameters"] == pytest.approx(geometry.parameters(), rel=0.001)
    assert header["context_window"] == geometry.context
    assert header.get("licence", "apache-2.0") == "apache-2.0"


def test_a_prompt_longer_than_the_context_is_refused(loaded: LlamaCpp) -> None:
    room = loaded.applied()["settings"]["context"]
    with pytest.raises(NoRoom, match=f"{room + 1} tokens; the context has {room}"):
        loaded.evaluate(fixed_prompt(room + 1, loaded.vocabulary()), 2, stop_at_end=False)
    with pytest.raises(NoRoom, match=f"no room in the context of {room}"):
        loaded.evaluate(fixed_prompt(room - 1, loaded.vocabulary()), 9, stop_at_end=False)
    assert loaded.evaluate([1, 2, 3], 2, stop_at_end=False).evaluated_tokens == 3


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(content)
    with pytest.raises(ArtifactRefused, match=r"\w"):
        new().load(str(path), SETTINGS)


def test_kv_cache_grows_by_the_arithmetics_bytes_per_token(smollm2: Path) -> None:
    """Between two contexts far apart, so that what does not grow with them falls out."""
    short, long = (_memory(smollm2, replace(SETTINGS, context=size)) for size in (512, 8192))
    grown = context_growth(long), context_growth(short)
    assert grown[0] and grown[1]
    per_token = (grown[0] - grown[1]) / (8192 - 512)
    expected = models.load()["smollm2-135m-instruct"].geometry.kv_bytes_per_token()
    assert per_token == pytest.approx(expected, rel=0.01)
    assert long.applied.kv_bytes == pytest.approx(expected * 8192, rel=0.001)


def _memory(path: Path, settings: Settings) -> MemoryData:
    worker = Worker(real("memory", path, settings=settings), PATIENCE, watched=True)
    (said,), error = outcome(worker)
    assert error is None
    return MemoryData.model_validate(said | {"phases": worker.phases, "sampler": worker.sampler})


def test_two_processes_give_the_same_greedy_answer(smollm2: Path) -> None:
    said = [outcome(Worker(real("speed", smollm2), PATIENCE))[0][0] for _ in range(2)]
    assert said[0]["output"] == said[1]["output"]
    assert len(said[0]["repeats"]) == 1
    assert said[0]["repeats"][0]["evaluated_tokens"] == 8


@pytest.mark.parametrize(("page_cache", "share"), [("cold", 0.0), ("warm", 1.0)])
def test_a_load_starts_with_the_page_cache_as_asked(
    page_cache: str, share: float, smollm2: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.gguf"  # others may be using the cached file's pages
    own.write_bytes(smollm2.read_bytes())
    os.sync()
    (said,), error = outcome(Worker(real("load", own, page_cache=page_cache), PATIENCE))
    assert error is None
    assert said["cached_before"] == pytest.approx(share, abs=0.01)
    assert said["model_seconds"] > 0
