"""Messages to text: what a server offers that renders the prompt itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.run.runtimes import ArtifactRefused


@dataclass(frozen=True)
class Said:
    """A server's answer, with its own counts of tokens. None: it does not tell."""

    text: str
    prompt_tokens: int | None
    new_tokens: int | None
    stopped: str | None
    reply: dict[str, Any]
    """As `harness.run.records.Reply`."""


class Chat(Protocol):
    """What takes messages and gives text. Who renders the prompt is not known here."""

    def load(self, name: str, alive: Callable[[], None]) -> None:
        """From now on, the model of this name; `alive` is called while it is waited for."""
        ...

    def reply(
        self, messages: Sequence[dict[str, Any]], max_new_tokens: int, *,
        tools: list[dict[str, Any]] | None = None, stop: Sequence[str] = (),
    ) -> Said:  # fmt: skip
        """One greedy answer. Raises ArtifactRefused for this one, ServerGone for all."""
        ...


class ServerGone(ArtifactRefused):
    """A server that does not answer now: the next request would fare no better."""
