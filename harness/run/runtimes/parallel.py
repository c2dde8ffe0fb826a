"""Several prompts at once: what one asks for, and what a runtime offers that can answer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.run.runtimes import Answer, ArtifactRefused, Mask, Prompt, Runtime, Seen, Stop


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
