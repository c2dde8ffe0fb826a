"""Several prompts at once with llama.cpp for real: SmolLM2-135M."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import several as promises
from several import answers
from test_llamacpp import PROMPTS, runtime

from harness.run.records import Applied
from harness.run.runtimes import (
    Answer,
    ArtifactRefused,
    fixed_prompt,
)
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.runtimes.parallel import Question

ROOM = 256


@pytest.fixture(scope="module")
def alone(smollm2: Path) -> LlamaCpp:
    return runtime(smollm2)


@pytest.fixture
def several(smollm2: Path) -> Iterator[LlamaCpp]:
    yield runtime(smollm2, parallel=3)


def test_settings_are_read_back_as_asked(several: LlamaCpp) -> None:
    applied = Applied.model_validate(several.applied())
    assert applied.settings.options["parallel"] == 3
    assert applied.settings.context == ROOM
    assert applied.settings == several._settings


def near(found: Any, other: Answer) -> None:
    """Rounding goes another way in a batch of another size, by tenths; no token is another's."""
    theirs = dict(other.first_logprobs)
    mine = {token: logprob for token, logprob in found.first_logprobs if token in theirs}
    assert len(mine) >= 3
    assert mine == pytest.approx({token: theirs[token] for token in mine}, abs=0.4)


def test_each_prompt_is_answered_as_if_it_were_alone(several: LlamaCpp, alone: LlamaCpp) -> None:
    ids = [alone.tokenize(prompt) for prompt in PROMPTS]
    asked = [Question(one, new, top=5) for one, new in zip(ids, (4, 12, 8), strict=True)]
    for question, found in zip(asked, answers(several.parallel(), *asked), strict=True):
        other = alone.evaluate(question.ids, question.new_tokens, stop_at_end=True, top=5)
        assert found.tokens[:4] == other.tokens[:4]
        assert len(found.tokens) == question.new_tokens
        assert found.stopped == other.stopped
        near(found, other)


def test_the_same_questions_in_the_same_order_get_the_same_to_the_bit(smollm2: Path) -> None:
    def once() -> list[Answer]:
        found = runtime(smollm2, parallel=3)
        whole = found.tokenize(" ".join(PROMPTS) * 3)
        parallel = found.parallel()
        first = answers(parallel, *(Question(whole[: 30 + at], 6 + at, top=9) for at in range(3)))
        return [*first, *answers(parallel, *(Question(whole[at:70], 9, top=9) for at in range(3)))]

    kept = [[(one.tokens, one.first_logprobs, one.reused_tokens) for one in once()] for _ in "ab"]
    assert kept[0] == kept[1]


def test_a_beginning_is_computed_once_whoever_has_it(several: LlamaCpp, alone: LlamaCpp) -> None:
    """From one that is under way, from one that is over; and the answers are to the whole."""
    prefix = alone.tokenize("Of all the cities in the world, a friend of mine once told me, ")
    ends = ("the capital of France", "two and two make", "def add(a, b):", "the sun rises in")
    prompts = [[*prefix, *alone.tokenize(end)] for end in ends]
    parallel = several.parallel()
    found = answers(parallel, *(Question(one, 5, top=9) for one in prompts[:3]))
    found += answers(parallel, Question(prompts[3], 5, top=9), Question(prompts[0], 5, top=9))
    assert found[0].reused_tokens == 0
    assert all(one.reused_tokens >= len(prefix) for one in found[1:])
    assert found[4].reused_tokens == len(prompts[0]) - 2
    for one, prompt in zip(found, [*prompts, prompts[0]], strict=True):
        assert one.evaluated_tokens == len(prompt) - one.reused_tokens
        near(one, alone.evaluate(prompt, 5, stop_at_end=True, top=9))


def test_a_conversation_goes_on_where_it_was(several: LlamaCpp) -> None:
    """Though others, with less in common, are asked at the same time and before it."""
    whole = fixed_prompt(200, several.vocabulary())
    parallel = several.parallel()
    (first, *_) = answers(parallel, *(Question(whole[at:][:40], 6) for at in (0, 50, 100)))
    later = [*whole[:40], *first.tokens, *whole[150:160]]
    other = answers(parallel, Question(whole[:5] + whole[60:90], 3), Question(later, 3))
    assert [one.reused_tokens for one in other] == [5, 45]  # the last token was never fed


def test_a_prompt_longer_than_a_batch_is_computed_whole(smollm2: Path) -> None:
    small = runtime(smollm2, batch=32, ubatch=16, parallel=2)
    prompt = fixed_prompt(97, small.vocabulary())  # a single token is left for the last batch
    (found,) = answers(small.parallel(), Question(prompt, 2))
    assert found.evaluated_tokens == 97


def test_one_without_room_costs_itself_alone(several: LlamaCpp) -> None:
    promises.one_without_room_costs_itself_alone(several, ROOM)


def test_all_can_be_as_long_as_the_context(several: LlamaCpp) -> None:
    promises.all_can_be_as_long_as_the_context(several, ROOM)


def test_a_stop_and_a_mask_are_each_answers_own(several: LlamaCpp) -> None:
    ids = several.tokenize(PROMPTS[0])
    promises.a_stop_and_a_mask_are_each_answers_own(several, ids, {65, 66})


def test_an_answer_ends_with_the_turn(several: LlamaCpp) -> None:
    ids = several.tokenize("<|im_start|>user\nSay only: hello.<|im_end|>\n<|im_start|>assistant\n")
    (found,) = answers(several.parallel(), Question(ids, 60))
    assert found.stopped == "end"
    assert several.detokenize(found.tokens[-1:]) == "<|im_end|>"
    assert len(found.token_seconds) == len(found.tokens) - 1


def test_likelihoods_are_for_one_at_a_time(several: LlamaCpp) -> None:
    with pytest.raises(ArtifactRefused, match="one item at a time"):
        several.likelihoods([1, 2], [[3]])
