"""Runtimes: what executes an artifact. A new one is one file here and one line in RUNTIMES."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from harness.run.protocol import Settings


@dataclass(frozen=True)
class Entry:
    """Where a runtime lives and which distribution gives its version."""

    target: str
    distribution: str
    extra: str
    devices: tuple[str, ...]
    formats: tuple[str, ...]


RUNTIMES: dict[str, Entry] = {
    "llama.cpp": Entry(
        "harness.run.runtimes.llamacpp:LlamaCpp",
        "llama-cpp-python",
        "llamacpp",
        ("cpu",),
        ("gguf",),
    ),
}


@dataclass(frozen=True)
class Answer:
    """One prompt evaluated and continued greedily.

    `token_seconds` has one entry per token after the first. `evaluated_tokens` is the runtime's
    own count of prompt tokens it computed: less than the prompt's length means a reused prefix.
    """

    tokens: list[int]
    evaluated_tokens: int
    prefill_seconds: float
    first_token_seconds: float
    token_seconds: list[float]
    stopped: str

    def timing(self) -> dict[str, Any]:
        """As `harness.run.records.Repeat`."""
        return {
            "evaluated_tokens": self.evaluated_tokens,
            "prefill_seconds": self.prefill_seconds,
            "first_token_seconds": self.first_token_seconds,
            "token_seconds": self.token_seconds,
        }


class Runtime(Protocol):
    """Lives in a worker. Load and context are apart so that each can be timed and weighed.

    Any failure to use the artifact raises `ArtifactRefused`.
    """

    def load(self, path: str, settings: Settings) -> None: ...
    def create_context(self) -> None: ...

    def applied(self) -> dict[str, Any]:
        """What the runtime says it did, as `harness.run.records.Applied`."""
        ...

    def vocabulary(self) -> int: ...

    def evaluate(self, prompt: list[int], new_tokens: int, *, stop_at_end: bool) -> Answer:
        """Forgets everything, evaluates `prompt`, samples greedily up to `new_tokens`."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Ids of a rendered prompt: special tokens are recognised, none is added."""
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Text of `tokens`, special tokens shown."""
        ...

    def chat_template(self) -> str: ...

    def header(self) -> dict[str, Any]:
        """Facts from the artifact's own header: parameters, context_window, licence where given."""
        ...


class ArtifactRefused(Exception):
    """The runtime can't use the artifact; the message is the runtime's own."""


def fixed_prompt(length: int, vocabulary: int) -> list[int]:
    """`length` token ids spread over the vocabulary, the same on every machine.

    A multiplicative step (Knuth's 2654435761) visits the ids without a pattern that a model knows.
    """
    return [(index * 2654435761) % vocabulary for index in range(1, length + 1)]
