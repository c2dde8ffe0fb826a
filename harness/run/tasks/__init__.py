"""Task kinds: how a task becomes items, and how a model's answer to an item is scored.

A new kind is one module that offers what `TaskKind` names, and one line in `KINDS`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from harness.ask.tasks import Task
from harness.errors import UnknownName

KINDS = {"tool_calls": "harness.run.tasks.tool_calls"}


@dataclass(frozen=True)
class Item:
    """One question: what the model is told (`messages`) and what its scorer knows (`payload`).

    Both hold only what JSON can hold. `images` are encoded files, in the order of the messages'
    `{"type": "image"}` parts.
    """

    id: str
    messages: list[dict[str, Any]]
    payload: dict[str, Any]
    images: tuple[bytes, ...] = ()

    def digest(self) -> str:
        """The sha256 of the whole item: equal digests are the same question and the same answer."""
        parts: dict[str, Any] = {
            "id": self.id,
            "messages": self.messages,
            "payload": self.payload,
        }
        if self.images:  # items without any keep the digests that stored records have
            parts["images"] = [hashlib.sha256(image).hexdigest() for image in self.images]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Score:
    """How one answer did. `outcome` is one of its kind's OUTCOMES, `detail` a short reason."""

    outcome: str
    correct: bool
    detail: str


class TaskKind(Protocol):
    """What a task kind's module offers."""

    VERSION: int
    """Raised by whoever changes how the same file is asked or the same answer is scored."""

    OUTCOMES: dict[str, str]
    """Every outcome of a score, with its definition."""

    def items(self, task: Task, wheel: Path, limit: int | None) -> list[Item]:
        """The first `limit` items in the task's order; the planned number where it is None."""

    def score(self, item: Item, output: str) -> Score:
        """The score of a raw answer. Never raises on what a model wrote."""


def kind(name: str) -> TaskKind:
    """The task kind of this name, imported now. Raises UnknownName."""
    if name not in KINDS:
        raise UnknownName("task kind", name, KINDS)
    return cast(TaskKind, importlib.import_module(KINDS[name]))
