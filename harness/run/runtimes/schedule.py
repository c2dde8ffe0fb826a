"""Several prompts at once: which is computed when, and their answers as they come about.

Prompts that wait go first, each computed by itself; then all answers go on by a token in one step.
How that is computed is the runtime's; when, is the same for all, and depends on nothing but the
questions and the steps at which they came.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.run.runtimes import Answer, ArtifactRefused, NoRoom, stopped, times
from harness.run.runtimes.logits import likeliest, picker
from harness.run.runtimes.parallel import Ended, Question

Logits = NDArray[np.float32]
"""Of one position, over the vocabulary."""


@dataclass(eq=False)
class Place:
    """A part of the cache. `held`: the tokens that lie there, also when their answer is over."""

    at: int
    held: list[int] = field(default_factory=list)


class Computed(NamedTuple):
    """A prompt in its place, and what may follow it. Times are `time.perf_counter`'s."""

    place: Place
    logits: Logits
    reused: int
    evaluated: int
    start: float
    prefilled: float


class UnderWay:
    """A question whose prompt is computed, with its answer so far."""

    def __init__(self, question: Question, prompt: Computed) -> None:
        self.question, self.place = question, prompt.place
        self.tokens: list[int] = []
        self._stamps: list[float] = []
        # Not the logits: a runtime may write others where they lie.
        _, _, self._reused, self._evaluated, self._start, self._prefilled = prompt
        self._first = likeliest(prompt.logits, question.top)
        self._pick = picker(question.mask)

    def add(self, logits: Logits, is_end: Callable[[int], bool]) -> Answer | None:
        """Takes the next token. Returns the answer, where it is over."""
        token = self._pick(logits, self.tokens)
        self._stamps.append(time.perf_counter())
        self.tokens.append(token)
        ended, stop = is_end(token), self.question.stop
        cut = bool(stop and stop(self.tokens))
        if not ended and not cut and len(self.tokens) < self.question.new_tokens:
            return None
        return Answer(
            tokens=self.tokens,
            evaluated_tokens=self._evaluated,
            reused_tokens=self._reused,
            **times(self._start, self._prefilled, self._stamps),
            stopped=stopped(ended, cut),
            first_logprobs=self._first,
        )


class Schedule(ABC):
    """Implements `harness.run.runtimes.parallel.Parallel`, but for what is computed.

    `places`: how many prompts can be under way; `room`: tokens that each and its answer may take.
    """

    def __init__(self, places: int, room: int) -> None:
        self._places, self._room = [Place(at) for at in range(places)], room
        self._waiting: list[Question] = []
        self._under_way: list[UnderWay] = []

    @abstractmethod
    def _compute(self, question: Question) -> Computed:
        """A prompt, in a free place.

        Raises ArtifactRefused where this one can't be computed; others are none the worse for it.
        """

    @abstractmethod
    def _advance(self, under_way: Sequence[UnderWay]) -> Iterable[Logits]:
        """What may follow the newest token of each answer; its place does not hold it yet.

        What this raises is no single answer's: the worker ends, and each prompt is asked alone.
        """

    @abstractmethod
    def _is_end(self, token: int) -> bool:
        """Whether the model ends its answer with it."""

    def _turn(self, waiting: Sequence[Question]) -> Question:
        """Whose prompt is computed next: the first that came."""
        return waiting[0]

    def _is_free(self, place: Place) -> bool:
        return all(one.place is not place for one in self._under_way)

    def _free(self) -> Place:
        return next(place for place in self._places if self._is_free(place))

    def take(self, question: Question) -> None:
        self._waiting.append(question)

    def step(self) -> list[Ended]:
        """Computes the prompts that wait or else, if none does, a token of each answer."""
        return self._begin() if self._waiting else self._go_on()

    def _begin(self) -> list[Ended]:
        over: list[Ended] = []
        while self._waiting:
            question = self._turn(self._waiting)
            self._waiting.remove(question)
            try:
                if len(question.ids) > self._room:
                    raise NoRoom(f"{len(question.ids)} tokens; the context has {self._room}")
                computed = self._compute(question)
            except ArtifactRefused as error:
                over.append((question, error))
                continue
            computed.place.held = list(question.ids)
            self._under_way.append(one := UnderWay(question, computed))
            over += self._add(one, computed.logits)
        return over

    def _go_on(self) -> list[Ended]:
        full = [one for one in self._under_way if len(one.place.held) == self._room]
        over: list[Ended] = []
        for one in full:
            self._under_way.remove(one)
            error = NoRoom(f"no room in the context of {self._room} tokens")
            over.append((one.question, error))
        if not self._under_way:
            return over
        going = sorted(self._under_way, key=lambda one: one.place.at)
        for one, logits in zip(going, self._advance(going), strict=True):
            one.place.held.append(one.tokens[-1])
            over += self._add(one, logits)
        return over

    def _add(self, one: UnderWay, logits: Logits) -> list[Ended]:
        """A token of the answer; the answer, if it is over."""
        answer = one.add(logits, self._is_end)
        if answer is None:
            return []
        self._under_way.remove(one)
        return [(one.question, answer)]
