"""Several prompts at once with transformers for real: SmolLM2-135M, and small random models."""

from __future__ import annotations

from pathlib import Path

import pytest
import several as promises
from several import answers
from test_llamacpp import PROMPTS
from test_transformers import asked, runtime
from tiny_models import write_model

from harness.run.records import Applied
from harness.run.runtimes import PARALLEL, ArtifactRefused, fixed_prompt
from harness.run.runtimes.parallel import Question
from harness.run.runtimes.transformers import Transformers

ROOM = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def several(folder: Path) -> Transformers:
    return runtime(folder, parallel=3, context=ROOM)


def test_settings_are_read_back_as_asked(several: Transformers, folder: Path) -> None:
    applied = Applied.model_validate(several.applied())
    assert applied.settings == asked(parallel=3, context=ROOM)
    alone = Applied.model_validate(runtime(folder, context=ROOM).applied())
    assert applied.kv_bytes == 3 * (alone.kv_bytes or 0)
    assert PARALLEL not in alone.settings.options


def test_each_prompt_is_answered_as_if_it_were_alone(smollm2: Path) -> None:
    """Of real weights, as many as fit and then more; the first token to the bit."""
    alone, together = runtime(smollm2), runtime(smollm2, parallel=3).parallel()
    ids = [alone.tokenize(prompt) for prompt in PROMPTS]
    asked = [Question(one, new, top=5) for one, new in zip(ids, (4, 12, 8), strict=True)]
    found = answers(together, *asked)
    found += answers(together, *(more := [Question(ids[2], 5, top=5), Question(ids[0], 5, top=5)]))
    for question, one in zip([*asked, *more], found, strict=True):
        other = alone.evaluate(question.ids, question.new_tokens, stop_at_end=True, top=5)
        assert one.tokens == other.tokens
        assert one.first_logprobs == other.first_logprobs
        assert (one.stopped, one.reused_tokens) == (other.stopped, 0)
        assert one.evaluated_tokens == len(question.ids)
        assert len(one.token_seconds) == len(one.tokens) - 1


@pytest.mark.parametrize("family", ["llama", "qwen2", "smollm3"])
def test_others_beside_it_change_nothing(family: str, tmp_path: Path) -> None:
    """Whether they are there, how many, how long, and in which row it is."""
    folder = write_model(tmp_path / "model", family)
    whole = fixed_prompt(3 * ROOM, runtime(folder).vocabulary())
    mine, short, long = whole[:20], whole[20:25], whole[30:70]

    def answer(*before: list[int]) -> list[int]:
        parallel = runtime(folder, parallel=3, context=ROOM).parallel()
        others = [Question(one, 24) for one in before]
        return list(answers(parallel, *others, Question(mine, 24))[-1].tokens)

    expected = runtime(folder, context=ROOM).evaluate(mine, 24, stop_at_end=True).tokens
    for others in ((), (short,), (long,), (short, long), (long, short)):
        assert answer(*others) == expected


def test_one_without_room_costs_itself_alone(several: Transformers) -> None:
    promises.one_without_room_costs_itself_alone(several, ROOM)


def test_one_that_the_library_refuses_costs_itself_alone(several: Transformers) -> None:
    refused, fits = answers(several.parallel(), Question([9999], 2), Question([5, 6], 3))
    assert isinstance(refused, ArtifactRefused)
    assert "index out of range" in str(refused)
    assert len(fits.tokens) == 3


def test_all_can_be_as_long_as_the_context(several: Transformers) -> None:
    promises.all_can_be_as_long_as_the_context(several, ROOM)


def test_what_an_earlier_answer_left_is_not_seen(several: Transformers) -> None:
    """A row is written over; what lies behind the new prompt was another's."""
    whole = fixed_prompt(ROOM, several.vocabulary())
    parallel = several.parallel()
    (first,) = answers(parallel, Question(whole[:9], 12))
    answers(parallel, *(Question(whole[at:][:40], 12) for at in range(3)))
    (again,) = answers(parallel, Question(whole[:9], 12))
    assert again.tokens == first.tokens


def test_a_stop_and_a_mask_are_each_answers_own(several: Transformers) -> None:
    ids = fixed_prompt(9, several.vocabulary())
    promises.a_stop_and_a_mask_are_each_answers_own(several, ids, {5, 6})


def test_an_answer_ends_with_the_turn(smollm2: Path) -> None:
    found = runtime(smollm2, parallel=2)
    ids = found.tokenize("<|im_start|>user\nSay only: hello.<|im_end|>\n<|im_start|>assistant\n")
    (one, other) = answers(found.parallel(), Question(ids, 60), Question(ids[:4], 3))
    assert (one.stopped, other.stopped) == ("end", "length")
    assert found.detokenize(one.tokens[-1:]) == "<|im_end|>"


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])  # of all layers, of some
def test_layers_that_see_a_window_take_one_at_a_time(family: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family)
    with pytest.raises(ArtifactRefused, match="one prompt at a time"):
        runtime(folder, parallel=2)
