"""Several prompts at once with llama.cpp: each a sequence, all of them a token on in one step.

A step reads the weights once for all of them. A prompt is computed by itself, so that llama.cpp
counts its tokens alone. What it begins with alike in any other sequence, under way or over, is
taken from there without a copy.

Does not guarantee the answers of one prompt at a time. In a batch of another size, and with others
in the cache, llama.cpp adds in another order, and its kernels round to 16 and 8 bits on the way: as
much as without flash attention log-probabilities move, and where two tokens are about equally
likely, an answer goes another way from there on. The same questions at the same steps are computed
in the same batches, and answered alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import llama_cpp as api
import numpy as np
from numpy.typing import NDArray

from harness.run.protocol import Settings
from harness.run.runtimes import ArtifactRefused, NoRoom
from harness.run.runtimes.llamacpp_likelihoods import can_go_back
from harness.run.runtimes.logits import likeliest, picker
from harness.run.runtimes.option_tree import reusable
from harness.run.runtimes.parallel import Ended, Question, UnderWay


@dataclass(eq=False)
class _Sequence:
    """One of the cache's. `held` stays when its answer is over: the next prompt may begin so."""

    id: int
    held: list[int] = field(default_factory=list)
    open: UnderWay | None = None


class _Row(NamedTuple):
    """A token to be computed, at a position of a sequence."""

    token: int
    position: int
    sequence: int


class Sequences:
    """A context of as many sequences as prompts. Implements `runtimes.parallel.Parallel`.

    `reason` tells in llama.cpp's own words why something failed.
    """

    def __init__(
        self, context: Any, model: Any, settings: Settings, reason: Callable[[], str]
    ) -> None:
        self._context, self._memory = context, api.llama_get_memory(context)
        self._vocab = api.llama_model_get_vocab(model)
        self._vocabulary = int(api.llama_vocab_n_tokens(self._vocab))
        self._keeps = can_go_back(model)
        self._room, self._size = settings.context, int(api.llama_n_batch(context))
        self._reason = reason
        self._all = [_Sequence(at) for at in range(int(api.llama_n_seq_max(context)))]
        self._waiting: list[Question] = []

    def take(self, question: Question) -> None:
        self._waiting.append(question)

    def step(self) -> list[Ended]:
        """Computes the prompts that wait or else, if none does, a token of each answer."""
        return self._begin() if self._waiting else self._go_on()

    def _begin(self) -> list[Ended]:
        """First the prompt of which the most is there: another might take its place."""
        over: list[Ended] = []
        while self._waiting:
            found = [(one, *self._alike(one)) for one in self._waiting]
            question, source, kept = max(found, key=lambda one: one[2])
            self._waiting.remove(question)
            try:
                over += self._evaluate(question, source, kept)
            except ArtifactRefused as error:
                over.append((question, error))
        return over

    def _alike(self, question: Question) -> tuple[_Sequence, int]:
        """The sequence that begins with the most of a prompt's tokens, and how many those are."""
        # Two are left to compute: llama.cpp counts a single one as no prompt.
        alike = [reusable(one.held, question.ids[:-1]) if self._keeps else 0 for one in self._all]
        most = max(alike)
        return self._all[alike.index(most)], most

    def _evaluate(self, question: Question, source: _Sequence, kept: int) -> list[Ended]:
        """Computes a prompt, and gives the first token of its answer."""
        ids = question.ids
        if len(ids) > self._room:
            raise NoRoom(f"{len(ids)} tokens; the context has {self._room}")
        into = next(one for one in self._all if not one.open)
        if kept and not source.open:
            into = source
        self._hold(into, source, kept)
        api.llama_perf_context_reset(self._context)
        start = time.perf_counter()
        rows = [_Row(token, at, into.id) for at, token in enumerate(ids)][kept:]
        parts = [rows[at : at + self._size] for at in range(0, len(rows), self._size)]
        failed = [status for part in parts if (status := self._decode(part, every=False))]
        api.llama_synchronize(self._context)  # once for all parts: one of a token is no prompt
        prefilled = time.perf_counter()
        if failed:
            self._hold(into, into, 0)
            raise ArtifactRefused(f"llama_decode answered {failed[0]}: {self._reason()}")
        into.held = list(ids)
        evaluated = int(api.llama_perf_context(self._context).n_p_eval)
        first = likeliest(self._logits(-1), question.top)
        pick = picker(question.mask)
        into.open = UnderWay(question, pick, kept, evaluated, start, prefilled, first)
        return self._add(into, -1)

    def _go_on(self) -> list[Ended]:
        """A further token of each answer, all in one batch."""
        over: list[Ended] = []
        for one in self._all:
            if one.open and len(one.held) == self._room:
                full = NoRoom(f"no room in the context of {self._room} tokens")
                over.append((one.open.question, full))
                one.open = None
        under_way = [(one, one.open.tokens[-1]) for one in self._all if one.open]
        if not under_way:
            return over
        rows = [_Row(token, len(one.held), one.id) for one, token in under_way]
        if status := self._decode(rows, every=True):
            # Of none of them alone: the worker ends, and each is asked again by itself.
            raise RuntimeError(f"llama_decode answered {status}: {self._reason()}")
        for row, (one, token) in enumerate(under_way):
            one.held.append(token)
            over += self._add(one, row)
        return over

    def _add(self, one: _Sequence, row: int) -> list[Ended]:
        """A token of the answer, by the logits of this row of the batch; the answer, if over."""
        if one.open is None:
            raise ValueError("a sequence without a question")
        ending = one.open.add(self._logits(row), self._is_end)
        if ending is None:
            return []
        over = one.open
        one.open = None
        self._check_end(one)
        return [(over.question, over.answer(ending))]

    def _is_end(self, token: int) -> bool:
        return bool(api.llama_vocab_is_eog(self._vocab, token))

    def _logits(self, row: int) -> NDArray[np.float32]:
        """Where llama.cpp keeps those of a row, until the next batch. Waits for them."""
        there = api.llama_get_logits_ith(self._context, row)
        if not there:
            raise ArtifactRefused(f"llama.cpp has no logits: {self._reason()}")
        return np.ctypeslib.as_array(there, (self._vocabulary,))

    def _hold(self, into: _Sequence, source: _Sequence, kept: int) -> None:
        """Leaves in `into` the first `kept` tokens of `source`, and nothing else."""
        held = source.held[:kept]
        api.llama_memory_seq_rm(self._memory, into.id, kept if into is source else 0, -1)
        if kept and into is not source:
            api.llama_memory_seq_cp(self._memory, source.id, into.id, 0, kept)
        into.held = held
        self._check_end(into)

    def _check_end(self, one: _Sequence) -> None:
        there = int(api.llama_memory_seq_pos_max(self._memory, one.id)) + 1
        if there != len(one.held):
            raise RuntimeError(f"a sequence of {len(one.held)} tokens ends at {there} in the cache")

    def _decode(self, rows: Sequence[_Row], *, every: bool) -> int:
        """llama.cpp's status. `every`: logits of each row are wanted, and not of the last alone."""
        batch = api.llama_batch_init(len(rows), 0, 1)
        try:
            batch.n_tokens = len(rows)
            for at, row in enumerate(rows):
                batch.token[at], batch.pos[at] = row.token, row.position
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, row.sequence
                batch.logits[at] = every or at == len(rows) - 1
            return int(api.llama_decode(self._context, batch))
        finally:
            api.llama_batch_free(batch)
