"""Task kinds: how a task becomes items, how the model is asked, how what it says is scored.

A new kind is one module that offers what `TaskKind` names, and one line in `KINDS`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from harness.ask.tasks import Task
from harness.errors import MissingError, UnknownName
from harness.run.runtimes import installed

KINDS = {
    "code": "harness.run.tasks.code",
    "degraded_questions": "harness.run.tasks.degraded_questions",
    "documents": "harness.run.tasks.documents",
    "ifeval": "harness.run.tasks.ifeval",
    "json_answers": "harness.run.tasks.json_answers",
    "long_context": "harness.run.tasks.long_context",
    "made_calls": "harness.run.tasks.made_calls",
    "multi_turn": "harness.run.tasks.multi_turn",
    "multiple_choice": "harness.run.tasks.multiple_choice",
    "text_windows": "harness.run.tasks.text_windows",
    "tool_calls": "harness.run.tasks.tool_calls",
    "tool_chains": "harness.run.tasks.tool_chains",
    "visual_questions": "harness.run.tasks.visual_questions",
    "word_problems": "harness.run.tasks.word_problems",
}


@dataclass(frozen=True)
class Item:
    """One question: what the model is told (`messages`) and what its scorer knows (`payload`).

    Both hold only what JSON can hold. `images` are encoded files, in the order of the messages'
    `{"type": "image"}` parts. Items of one `group` are not independent of each other. `facets` say
    under what the question is put (a severity, a length), by which results can be told apart.
    """

    id: str
    messages: list[dict[str, Any]]
    payload: dict[str, Any]
    images: tuple[bytes, ...] = ()
    group: str | None = None
    facets: dict[str, str] = field(default_factory=dict)

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
    """How one answer did. `outcome` is one of its kind's OUTCOMES, `detail` a short reason.

    `correct` is an answer that is worth 1. `partial` is what one is worth that is neither that nor
    worth nothing, where the rule knows such answers. `by_other_rules` tells, rule by rule, what the
    answer is worth to someone else's scorer. `parts` tells, rule by rule, what of a question with
    several is right.
    """

    outcome: str
    correct: bool
    detail: str
    by_other_rules: Mapping[str, float] = field(default_factory=dict)
    partial: float | None = None
    parts: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """What the answer is worth, from 0 to 1."""
        return float(self.correct) if self.partial is None else self.partial


def graded(
    value: float, outcomes: tuple[str, str, str], detail: str, by: Mapping[str, float]
) -> Score:
    """The score of an answer worth `value`; `outcomes`: of nothing, of a part, of the whole."""
    partial = value if 0 < value < 1 else None
    outcome = outcomes[1 if partial else 2 * int(value)]
    return Score(outcome, value == 1, detail, by, partial)


class Respondent(Protocol):
    """The model, as the kind of a task meets it: greedy, with a record of all that it is asked."""

    def answer(
        self,
        messages: Sequence[dict[str, Any]],
        max_new_tokens: int,
        *,
        images: Sequence[bytes] = (),
        tools: list[dict[str, Any]] | None = None,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
    ) -> str:
        """What the model says to `messages`, up to the first text of `stop`, which is left out.

        Each call stands alone: a conversation is given whole each time, the answers so far as
        messages of the assistant. `tools` go to the model's own template. A `schema` is held over
        the answer by a grammar.
        """

    def prompt_tokens(self, messages: Sequence[dict[str, Any]]) -> int:
        """How many tokens `messages` would be as a prompt. Asks nothing of the model."""

    def likelihoods(self, context: str, options: Sequence[str]) -> list[float]:
        """The log-likelihood of each option's text after `context`, with no template around them.

        Each pair is split into tokens as one text. A part of it that begins like the context
        before is not computed again.
        """

    def window(self, text: str, at: int, length: int) -> list[tuple[float, bool]]:
        """The text's own tokens in the second half of a window: the log-probability of each, and
        whether the model holds it for the likeliest.

        The text's tokens are cut into windows of `length`; this is the one numbered `at`. A model
        whose texts begin with a start token sees one in place of the window's first token, and of
        the second half the first token is not scored. All as llama.cpp's llama-perplexity has it.
        """


class TaskKind(Protocol):
    """What a task kind's module offers."""

    VERSION: int
    """Raised by whoever changes how the same file is asked or the same answer is scored."""

    OUTCOMES: dict[str, str]
    """Every outcome of a score, with its definition."""

    def items(self, task: Task, data: Path, limit: int | None) -> list[Item]:
        """The first `limit` items in the task's order; the planned number where it is None."""

    def ask(self, task: Task, item: Item, respondent: Respondent) -> str:
        """Asks at least once. Returns the output: all that `score` wants to know of the answers."""

    def score(self, item: Item, output: str) -> Score:
        """The score of an output. Never raises on what a model wrote."""


def check_machine(task: Task) -> None:
    """Raises MissingError where this machine lacks what a task needs beside a model.

    Few need anything but packages: their kinds offer `check_machine` in their module.
    """
    for name, extra in needs(task).items():
        if installed(name) is None:
            raise MissingError(
                f"the task {task.name} needs the package {name}; "
                f"run: python -m pip install 'claimbench[{extra}]'"
            )
    check = getattr(kind(task.kind), "check_machine", None)
    if check:
        check()


def shows_pictures(name: str) -> bool:
    """Whether the items of a kind have pictures: those that do say so with PICTURES."""
    return getattr(kind(name), "PICTURES", False)


def why_alone(task: Task) -> str | None:
    """Why the items of a task are asked one at a time only; None where several can be.

    Kinds that ask for likelihoods offer `weighs` in their module, which says of which tasks.
    """
    if shows_pictures(task.kind):
        return f"the items of {task.name} have pictures, and are asked one at a time"
    if _weighs(task):
        return f"{task.name} asks for likelihoods, of one item at a time"
    return None


def _weighs(task: Task) -> bool:
    own = getattr(kind(task.kind), "weighs", None)
    return bool(own and own(task))


def requests(name: str) -> float:
    """How often an item of a kind asks the model, on average: those of several say REQUESTS."""
    return float(getattr(kind(name), "REQUESTS", 1))


def beyond_messages(task: Task) -> str | None:
    """What a task wants of a model beside text for messages; None where that is all.

    Few want more: their kinds offer `beyond_messages` in their module, or `weighs`.
    """
    if shows_pictures(task.kind):
        return "pictures"
    if _weighs(task):
        return "how likely a text is"
    own = getattr(kind(task.kind), "beyond_messages", None)
    return own(task) if own else None


def needs(task: Task) -> dict[str, str]:
    """Packages that answers or scores of a task depend on, each with the extra that brings it.

    Few depend on any: their kinds offer `needs` in their module.
    """
    own = getattr(kind(task.kind), "needs", None)
    return own(task) if own else {}


def libraries(task: Task) -> dict[str, str | None]:
    """The version of each package that the task needs; null for one that is not here."""
    return {name: installed(name) for name in needs(task)}


def ask_once(task: Task, item: Item, respondent: Respondent) -> str:
    """The `ask` of kinds whose items are one question and whose output is the answer to it."""
    return respondent.answer(item.messages, task.max_new_tokens, images=item.images)


def kind(name: str) -> TaskKind:
    """The task kind of this name, imported now. Raises UnknownName."""
    if name not in KINDS:
        raise UnknownName("task kind", name, KINDS)
    return cast(TaskKind, importlib.import_module(KINDS[name]))
