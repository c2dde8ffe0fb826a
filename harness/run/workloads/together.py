"""Several items under way at once, each asked as if it were alone with the model.

A kind of task asks, waits for the answer, and may ask again: so each item has a thread. But only
one runs at any time, until it asks or ends, and all that is open goes on by a step once none can
run. So nothing depends on how threads are scheduled: the same items meet in the same steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from harness.errors import BadFile
from harness.run.runtimes import Answer, ArtifactRefused, Seen
from harness.run.runtimes.parallel import Parallel, Question
from harness.run.tasks import Item
from harness.run.workloads.respondent import Put

T = TypeVar("T")
Refused = ArtifactRefused | BadFile


class Together(Generic[T]):
    """`ask` is called for each item; what it puts is answered beside what others put."""

    def __init__(self, parallel: Parallel, ask: Callable[[Item, Put], T]) -> None:
        self._parallel, self._ask = parallel, ask
        self._under_way: dict[Question, _UnderWay[T]] = {}

    def answers(self, items: Iterable[Item], most: int) -> Iterator[tuple[Item, T | Refused]]:
        """What `ask` returned, or how it was refused, in the order in which the items end.

        Up to `most` items are under way; each that ends makes room for the next.
        """
        waiting = iter(items)
        while True:
            while len(self._under_way) < most and (item := next(waiting, None)):
                yield from self._go_on(_UnderWay(item, self._ask))
            if not self._under_way:
                return
            for question, answer in self._parallel.step():
                yield from self._go_on(self._under_way.pop(question), answer)

    def _go_on(
        self, one: _UnderWay[T], answer: Answer | ArtifactRefused | None = None
    ) -> Iterator[tuple[Item, T | Refused]]:
        question = one.go_on(answer)
        if question is None:
            yield one.item, one.result()
        else:
            self._under_way[question] = one
            self._parallel.take(question)


class _UnderWay(Generic[T]):
    """An item in a thread of its own, which runs while `go_on` waits for it."""

    def __init__(self, item: Item, ask: Callable[[Item, Put], T]) -> None:
        self.item = item
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._question: Question | None = None
        self._answer: Answer | ArtifactRefused | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        # A daemon: a worker may end while an item waits for an answer.
        threading.Thread(target=self._run, args=[ask], daemon=True).start()

    def go_on(self, answer: Answer | ArtifactRefused | None) -> Question | None:
        """Lets the item run up to its next question; None where it has ended instead."""
        self._question, self._answer = None, answer
        self._turn.release()
        self._back.acquire()
        return self._question

    def result(self) -> T | Refused:
        if isinstance(self._error, Refused):
            return self._error
        if self._error:
            raise self._error
        return self._result[0]

    def _run(self, ask: Callable[[Item, Put], T]) -> None:
        self._turn.acquire()
        try:
            self._result.append(ask(self.item, self._put))
        except BaseException as error:  # or whoever waits for the item would wait for ever
            self._error = error
        self._back.release()

    def _put(self, question: Question) -> Answer:
        if isinstance(question.prompt, Seen):
            raise ArtifactRefused("an item with images is asked alone")
        self._question = question
        self._back.release()
        self._turn.acquire()
        if not isinstance(self._answer, Answer):
            raise self._answer or RuntimeError("went on without an answer")
        return self._answer
