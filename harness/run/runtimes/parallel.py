"""Several prompts at once: what one asks for, what a runtime offers that can answer them, and an
answer as it comes about."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from harness.run.runtimes import (
    Answer,
    ArtifactRefused,
    Mask,
    Prompt,
    Runtime,
    Seen,
    Stop,
    stopped,
    times,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.run.runtimes.logits import Pick


@dataclass(frozen=True, eq=False)
class Question:
    """What is wanted of a prompt, up to the model's own end. As in `Runtime.evaluate`."""

    prompt: Prompt
    new_tokens: int
    top: int = 0
    stop: Stop = None
    mask: Mask | None = None

    @property
    def ids(self) -> list[int]:
        return self.prompt.ids if isinstance(self.prompt, Seen) else self.prompt


Ended = tuple[Question, Answer | ArtifactRefused]


class Parallel(Protocol):
    """Answers several prompts at once, greedily and each to its own end.

    The same questions at the same steps get the same answers. These need not be those that
    `Runtime.evaluate` gives: the module of each runtime that has it says how far they may be apart.
    """

    def take(self, question: Question) -> None:
        """Opens a question. No more may be open than the option `PARALLEL` of the settings says."""
        ...

    def step(self) -> list[Ended]:
        """Goes on with all that are open, and returns those that are no more."""
        ...


class ParallelRuntime(Runtime, Protocol):
    """A runtime that can be asked several prompts at once."""

    def parallel(self) -> Parallel:
        """After `create_context`; from then on it alone may use the context."""
        ...


@dataclass
class UnderWay:
    """A question whose prompt is computed, with its answer so far."""

    question: Question
    pick: Pick
    reused: int
    evaluated: int
    start: float
    prefilled: float
    first_logprobs: list[tuple[int, float]]
    tokens: list[int] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)

    def add(self, logits: NDArray[np.float32], is_end: Callable[[int], bool]) -> str | None:
        """The next token. Returns what ended the answer; None where it goes on."""
        token = self.pick(logits, self.tokens)
        self.stamps.append(time.perf_counter())
        self.tokens.append(token)
        ended, stop = is_end(token), self.question.stop
        cut = bool(stop and stop(self.tokens))
        over = ended or cut or len(self.tokens) == self.question.new_tokens
        return stopped(ended, cut) if over else None

    def answer(self, ending: str) -> Answer:
        return Answer(
            tokens=self.tokens,
            evaluated_tokens=self.evaluated,
            reused_tokens=self.reused,
            **times(self.start, self.prefilled, self.stamps),
            stopped=ending,
            first_logprobs=self.first_logprobs,
        )
