"""Log-likelihoods of options on every runtime: as if each had been scored alone."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import llamas
import numpy as np
import pytest
import tiny_onnx
import torch
from tiny_models import FAMILIES, write_model

from harness.run.records import Turn
from harness.run.runtimes import ArtifactRefused, Likelihoods, settings_for
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.runtimes.llamacpp_likelihoods import SEQUENCES
from harness.run.runtimes.logits import log_probabilities
from harness.run.runtimes.option_tree import nodes, reusable, sees
from harness.run.runtimes.transformers import Transformers
from harness.run.workloads.respondent import Listener

PREFIX = [5, 9, 13, 17, 21, 25, 29, 33]
OPTIONS = [[40], [41, 42, 43], [41, 44]]
FED = len(PREFIX) + sum(len(option) - 1 for option in OPTIONS)
QUESTION = "Question: What is the capital of France?\nAnswer:"
WIDE = settings_for("llama.cpp", "cpu", 1, 512)
CITIES = [" Paris", " Rio de Janeiro", " the city of Lyon", " 42"]


def alone(runtime: Any, prefix: list[int], options: list[list[int]]) -> list[list[float]]:
    """Each option from an empty cache, in the runtime's own way to evaluate a prompt."""
    found = []
    for option in options:
        logprobs = []
        for at, token in enumerate(option):
            top = 0 if isinstance(runtime, LlamaCpp) else runtime.vocabulary()
            answer = runtime.evaluate([*prefix, *option[:at]], 1, stop_at_end=False, top=top)
            logprobs += (
                [dict(answer.first_logprobs)[token]]
                if top
                else log_probabilities(runtime._logits(), [token])
            )
        found.append(logprobs)
    return found


def agree(found: list[list[float]], expected: list[list[float]], within: float) -> None:
    assert [len(one) for one in found] == [len(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=within)


def check(runtime: Any, keeps: bool, within: float) -> None:
    """A first prefix, one that begins alike, one that is its own beginning, another."""
    longer, shorter = [*PREFIX[:6], 60, 61, 62, 63], PREFIX[:4]
    asked = (PREFIX, longer, longer, shorter, [70, 71])
    before: list[int] = []
    found: list[Likelihoods] = []
    for prefix in asked:
        found.append(runtime.likelihoods(prefix, OPTIONS))
        again = reusable(before, prefix) if keeps else 0
        assert found[-1].reused_tokens == again
        if keeps:
            fed = len(prefix) + sum(len(option) - 1 for option in OPTIONS)
            assert found[-1].evaluated_tokens == fed - again
        before = prefix
    assert reusable(PREFIX, longer) == 6
    for prefix, one in zip(asked, found, strict=True):
        agree(one.logprobs, alone(runtime, prefix, OPTIONS), within)
        first = runtime.evaluate(prefix, 1, stop_at_end=False).tokens
        assert [option[:1] for option in one.likeliest] == [first] * len(OPTIONS)
        assert [len(option) for option in one.likeliest] == [len(option) for option in OPTIONS]
    after = runtime.likelihoods(asked[-1], OPTIONS)
    assert after.reused_tokens == 0  # what was evaluated since took the cache
    agree(after.logprobs, found[-1].logprobs, within)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_scores_as_alone(family: str, tmp_path: Path) -> None:
    runtime = Transformers()
    runtime.load(str(write_model(tmp_path, family)), settings_for("transformers", "cpu", 1, 256))
    runtime.create_context()
    check(runtime, keeps="sliding_window" not in FAMILIES[family], within=1e-4)


@pytest.mark.parametrize("layout", ["one", "parts"])
def test_onnx_scores_as_alone(layout: str, tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path, tiny_onnx.transformers_model(), layout)
    check(tiny_onnx.runtime(folder), keeps=True, within=1e-4)


@pytest.fixture(scope="module")
def llama(smollm2: Path) -> LlamaCpp:
    return llamas.ready(smollm2, WIDE)


def test_llamacpp_scores_as_alone(llama: LlamaCpp) -> None:
    """Its sums are taken in another order where a batch has another size; see `evaluate` on it."""
    check(llama, keeps=True, within=0.05)


def test_a_pass_longer_than_a_batch_is_cut(smollm2: Path) -> None:
    narrow = replace(WIDE, options=WIDE.options | {"batch": 32, "ubatch": 16})
    runtime = llamas.ready(smollm2, narrow)
    prefix = [*PREFIX * 6]
    found = runtime.likelihoods(prefix, OPTIONS)
    assert found.evaluated_tokens == len(prefix) + FED - len(PREFIX)
    agree(found.logprobs, alone(runtime, prefix, OPTIONS), 0.05)


def test_more_than_there_is_room_for_is_refused(llama: LlamaCpp, tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match=f"{SEQUENCES} options"):
        llama.likelihoods(PREFIX, [[1]] * SEQUENCES)
    with pytest.raises(ArtifactRefused, match="the context has 512"):
        llama.likelihoods([7] * 600, OPTIONS)
    small = tiny_onnx.runtime(tiny_onnx.write(tmp_path, tiny_onnx.transformers_model()))
    with pytest.raises(ArtifactRefused, match="the context has 64"):
        small.likelihoods([7] * 63, OPTIONS)
    agree(llama.likelihoods(PREFIX, OPTIONS).logprobs, alone(llama, PREFIX, OPTIONS), 0.05)


def test_one_model_on_two_runtimes_prefers_the_same(
    llama: LlamaCpp, dequantised: Transformers
) -> None:
    turns, best = [], []
    for runtime in (llama, dequantised):
        one = Listener(runtime, runtime.chat_template(), "item")
        found = one.likelihoods(QUESTION, CITIES)
        turns.append(Turn.model_validate(one.turns[0]))
        best.append(int(np.argmax(found)))
    assert turns[0].prompt_ids_sha256 == turns[1].prompt_ids_sha256
    assert best == [0, 0]
    for one, other in zip(turns[0].logprobs, turns[1].logprobs, strict=True):
        np.testing.assert_allclose(one, other, atol=0.6)  # 8-bit activations on one side


def test_transformers_agrees_with_the_plain_library(dequantised: Transformers) -> None:
    one = Listener(dequantised, "", "item")
    one.likelihoods(QUESTION, CITIES)
    one.likelihoods(QUESTION.replace("France", "Italy"), [" Rome"])
    one.likelihoods(QUESTION, CITIES)
    assert one.turns[1]["reused_tokens"] > 3
    tokenizer, model = dequantised._need_tokenizer(), dequantised._model
    for city, found in zip(CITIES, one.turns[2]["logprobs"], strict=True):
        context = tokenizer.encode(QUESTION)
        whole = tokenizer.encode(QUESTION + city)
        with torch.inference_mode():
            logits = model(torch.tensor([whole])).logits[0].log_softmax(-1)
        expected = [float(logits[at - 1, whole[at]]) for at in range(len(context), len(whole))]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_item_that_is_asked_for_nothing_is_refused(llama: LlamaCpp) -> None:
    one = Listener(llama, "", "row 7")
    for context, options in (("", [" a"]), ("Question", [""])):
        with pytest.raises(Exception, match="item row 7"):
            one.likelihoods(context, options)


def test_the_tree_has_each_token_once() -> None:
    tree = nodes(PREFIX, 3, OPTIONS)
    assert [node.token for node in tree] == [*PREFIX[3:], 41, 42, 41]
    assert [node.position for node in tree] == [3, 4, 5, 6, 7, 8, 9, 8]
    read = [pair for node in tree for pair in node.next]
    assert sorted(read) == sorted((at, token) for at, one in enumerate(OPTIONS) for token in one)
    seen = sees(tree)
    assert not np.triu(seen, 1).any()
    assert seen[6].tolist() == [True] * 7 + [False]  # of the second option: the prefix, itself
    assert seen[7].tolist() == [True] * 5 + [False, False, True]


def test_probabilities_add_up() -> None:
    logits = np.array([1.0, 1000.0, 999.0], np.float32)
    found = log_probabilities(logits, [0, 1, 2])
    assert math.isclose(sum(map(math.exp, found)), 1.0)
    assert math.isclose(found[1] - found[2], 1.0)
