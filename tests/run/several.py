"""What every runtime that answers several prompts at once promises, of whatever model it has."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.run.runtimes import NoRoom, fixed_prompt
from harness.run.runtimes.parallel import Parallel, ParallelRuntime, Question


def answers(parallel: Parallel, *questions: Question) -> list[Any]:
    """Of each question, asked at once."""
    found: dict[Question, Any] = {}
    for one in questions:
        parallel.take(one)
    while len(found) < len(questions):
        found |= parallel.step()
    assert parallel.step() == []
    return [found[one] for one in questions]


def one_without_room_costs_itself_alone(runtime: ParallelRuntime, room: int) -> None:
    ids = fixed_prompt(room + 1, runtime.vocabulary())
    long, full, fits = answers(
        runtime.parallel(), Question(ids, 2), Question(ids[: room - 2], 9), Question(ids[:9], 20)
    )
    assert isinstance(long, NoRoom)
    assert str(long) == f"{room + 1} tokens; the context has {room}"
    assert isinstance(full, NoRoom)
    assert str(full) == f"no room in the context of {room} tokens"
    assert len(fits.tokens) == 20


def all_can_be_as_long_as_the_context(runtime: ParallelRuntime, room: int) -> None:
    whole = fixed_prompt(3 * room, runtime.vocabulary())
    parts = [whole[at * room : (at + 1) * room][:-4] for at in range(3)]
    for one in answers(runtime.parallel(), *(Question(part, 5) for part in parts)):
        assert len(one.tokens) == 5


def a_stop_and_a_mask_are_each_answers_own(
    runtime: ParallelRuntime, ids: list[int], permitted: set[int]
) -> None:
    allowed = np.zeros(runtime.vocabulary(), np.bool_)
    allowed[[*permitted]] = True
    stopped, masked, plain = answers(
        runtime.parallel(),
        Question(ids, 9, stop=lambda tokens: len(tokens) == 4),
        Question(ids, 9, mask=lambda tokens: allowed),
        Question(ids, 9),
    )
    assert (stopped.stopped, masked.stopped) == ("stop", "length")
    assert stopped.tokens == plain.tokens[:4]
    assert set(masked.tokens) <= permitted
    assert not set(plain.tokens) <= permitted
