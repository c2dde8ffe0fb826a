"""Runtimes and workloads that misbehave on demand. Never registered outside these tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness.run.images import Pixels
from harness.run.protocol import Channel, Request, Settings
from harness.run.runtimes import Answer, ArtifactRefused, NoRoom, Seen
from harness.run.runtimes.parallel import Question

MIB = 1 << 20
VOCABULARY = 1000


class Honest:
    """Implements `harness.run.runtimes.Runtime` without a model. A token is a byte."""

    def load(self, path: str, settings: Settings) -> None:
        self._settings = settings

    def create_context(self) -> None: ...

    def applied(self) -> dict[str, Any]:
        return {
            "settings": vars(self._settings),
            "weight_buffers": {},
            "kv_bytes": None,
            "runtime_build": "fake",
        }

    def vocabulary(self) -> int:
        return VOCABULARY

    def evaluate(
        self, prompt: list[int] | Seen, new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        return Answer(
            tokens=[ord("x")] * new_tokens,
            evaluated_tokens=len(prompt.ids if isinstance(prompt, Seen) else prompt),
            prefill_seconds=0.001,
            first_token_seconds=0.002,
            token_seconds=[0.001] * (new_tokens - 1),
            stopped="length",
        )

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        return Seen([*self.tokenize(text), *[0] * len(images)], len(images), images)

    def detokenize(self, tokens: list[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")

    def chat_template(self) -> str:
        return "{% for message in messages %}{{ message.content }}{% endfor %}"

    def header(self) -> dict[str, Any]:
        return {"parameters": 1, "context_window": 1}


class Crashes(Honest):
    def create_context(self) -> None:
        os.abort()


class Slow(Honest):
    """So that a kill can meet it at work."""

    def create_context(self) -> None:
        time.sleep(0.02)


class WrongSettings(Honest):
    def applied(self) -> dict[str, Any]:
        applied = super().applied()
        return applied | {"settings": applied["settings"] | {"threads": 64}}


class WrongDevice(Honest):
    def applied(self) -> dict[str, Any]:
        applied = super().applied()
        return applied | {"settings": applied["settings"] | {"device": "gpu"}}


class ReusesPrefix(Honest):
    """Computes each prompt once and then answers from its cache."""

    _known: set[tuple[int, ...]]

    def load(self, path: str, settings: Settings) -> None:
        super().load(path, settings)
        self._known = set()

    def evaluate(
        self, prompt: list[int], new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        answer = super().evaluate(prompt, new_tokens, stop_at_end=stop_at_end)
        if tuple(prompt) in self._known:
            return Answer(**(vars(answer) | {"evaluated_tokens": 1}))
        self._known.add(tuple(prompt))
        return answer


class Wanders(Honest):
    """Another greedy answer in each process."""

    def evaluate(
        self, prompt: list[int], new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        answer = super().evaluate(prompt, new_tokens, stop_at_end=stop_at_end)
        return Answer(**(vars(answer) | {"tokens": [os.getpid()] * new_tokens}))


class Hungry(Honest):
    """Takes a quarter of a MiB for each token of a prompt, as a KV cache might."""

    def evaluate(
        self, prompt: list[int], new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        kept = [b"x" * (MIB // 4) for _ in prompt]
        return super().evaluate(prompt[: len(kept)], new_tokens, stop_at_end=stop_at_end)


class Nonsense(Honest):
    """Its answer is no record."""

    def applied(self) -> dict[str, Any]:
        return {"settings": "all of them"}


class Poisoned(Honest):
    """Dies of the one item that holds the text in POISON."""

    def evaluate(
        self, prompt: list[int], new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        if os.environ["POISON"].encode() in bytes(prompt):
            os.abort()
        return super().evaluate(prompt, new_tokens, stop_at_end=stop_at_end)


class Stumbles(Honest):
    """Dies of that item the first time alone, which it remembers by the file STUMBLED."""

    def evaluate(
        self, prompt: list[int], new_tokens: int, *, stop_at_end: bool, **asked: object
    ) -> Answer:
        before = Path(os.environ["STUMBLED"])
        if os.environ["POISON"].encode() in bytes(prompt) and not before.exists():
            before.touch()
            os.abort()
        return super().evaluate(prompt, new_tokens, stop_at_end=stop_at_end)


class Picky(Honest):
    """Refuses the one item that holds the text in POISON, and names a path of this machine."""

    def tokenize(self, text: str) -> list[int]:
        if os.environ["POISON"] in text:
            raise ArtifactRefused(f"not this one; see {os.environ['HOME']}/notes")
        return super().tokenize(text)


class Steps:
    """Implements `runtimes.parallel.Parallel`: an answer takes as many steps as it has tokens.

    Dies of the question that holds the text in POISON, after its first step.
    """

    def __init__(self, room: int = 1 << 20) -> None:
        self._room = room
        self._open: dict[Question, int] = {}
        self.seen: list[int] = []
        """How many questions were open at each step."""

    def take(self, question: Question) -> None:
        self._open[question] = 0

    def step(self) -> list[tuple[Question, Answer | ArtifactRefused]]:
        self.seen.append(len(self._open))
        self._open = {question: steps + 1 for question, steps in self._open.items()}
        for question, steps in self._open.items():
            poison = os.environ.get("POISON")
            if poison and poison.encode() in bytes(question.ids) and steps > 1:
                os.abort()
        over = [(one, self._answer(one)) for one in self._open if self._over(one)]
        for question, _ in over:
            del self._open[question]
        return over

    def _over(self, one: Question) -> bool:
        return len(one.ids) > self._room or self._open[one] == one.new_tokens

    def _answer(self, one: Question) -> Answer | ArtifactRefused:
        if len(one.ids) > self._room:
            return NoRoom("no room")
        return Honest().evaluate(one.ids, one.new_tokens, stop_at_end=True)


class Several(Honest):
    """Implements `harness.run.runtimes.ParallelRuntime`."""

    def parallel(self) -> Steps:
        return Steps()


class DiesLeaving(Honest):
    """After its last answer, before it has said that it was the last."""

    def __del__(self) -> None:
        os.abort()


RUNTIMES = (
    Honest,
    Crashes,
    Slow,
    WrongSettings,
    WrongDevice,
    ReusesPrefix,
    Wanders,
    Hungry,
    Nonsense,
    Poisoned,
    Stumbles,
    Picky,
    Several,
    DiesLeaving,
)


# Workloads: `measure(request, channel)` in a worker, as in harness.run.workloads.

Data = Iterator[dict[str, Any]]


def answers(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}


def thinks(request: Request, channel: Channel) -> Data:
    """Is heard three times within its silence, and answers after twice as long."""
    for _ in range(3):
        channel.send("alive")
        time.sleep(2)
    yield {"pid": os.getpid()}


def aborts(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    os.abort()


def exits(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    sys.exit(3)


def leaves_silently(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    os._exit(0)


def is_killed(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    os.kill(os.getpid(), signal.SIGKILL)


def dies_of_a_nameless_signal(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    os.kill(os.getpid(), signal.SIGRTMIN + 6)


def raises(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    raise RuntimeError(request.artifact)


def refuses(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    raise ArtifactRefused(request.artifact)


def hangs(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    hang()


def hangs_with_a_child(request: Request, channel: Channel) -> Data:
    """The child keeps the pipe open, whatever becomes of its parent."""
    child = os.fork()
    if not child:
        hang()
    yield {"pid": child}
    os.abort()


def hang() -> NoReturn:
    while True:
        signal.pause()


def floods_the_log(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    while True:
        os.write(1, b"x" * MIB)


def floods_the_pipe(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    while True:
        os.write(int(sys.argv[1]), b"x" * MIB)


def talks_nonsense(request: Request, channel: Channel) -> Data:
    yield {"pid": os.getpid()}
    os.write(int(sys.argv[1]), b"GGML_ASSERT: never\n")
    hang()


def allocates(request: Request, channel: Channel) -> Data:
    """As many MiB of its own as `limit` says."""
    channel.phase("import")
    kept = [b"x" * MIB for _ in range(int(str(request.limit)))]
    channel.phase("end")
    yield {"pid": os.getpid(), "mebibytes": len(kept)}


def fails_to_allocate(request: Request, channel: Channel) -> Data:
    kept = bytearray(1 << 60)
    yield {"pid": len(kept)}


def loads(request: Request, channel: Channel) -> Data:
    """Everything that a hostile file can reach, short of evaluating a prompt."""
    from harness.run.workloads import make_runtime

    runtime = make_runtime(request)
    runtime.load(str(request.artifact), request.need_settings())
    runtime.create_context()
    yield {"header": runtime.header(), "ids": runtime.tokenize("two words")}


def looks(request: Request, channel: Channel) -> Data:
    """All that a hostile mmproj can reach: an image is taken in, and answered."""
    import numpy as np

    from harness.run.workloads import make_runtime

    runtime = make_runtime(request)
    runtime.load(str(request.artifact), request.need_settings())
    runtime.create_context()
    seen = runtime.see("<image>?", [np.zeros((64, 64, 3), np.uint8)])
    answer = runtime.evaluate(seen, 2, stop_at_end=False)
    yield {"image_tokens": seen.image_tokens, "tokens": len(answer.tokens)}
