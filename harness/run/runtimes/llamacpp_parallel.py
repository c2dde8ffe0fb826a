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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import llama_cpp as api
import numpy as np

from harness.run.protocol import Settings
from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.llamacpp_likelihoods import can_go_back
from harness.run.runtimes.option_tree import reusable
from harness.run.runtimes.parallel import Question
from harness.run.runtimes.schedule import Computed, Logits, Place, Schedule, UnderWay


class _Row(NamedTuple):
    """A token to be computed, at a position of a sequence."""

    token: int
    position: int
    sequence: int


class Sequences(Schedule):
    """A context of as many sequences as prompts.

    `reason` tells in llama.cpp's own words why something failed.
    """

    def __init__(
        self, context: Any, model: Any, settings: Settings, reason: Callable[[], str]
    ) -> None:
        super().__init__(int(api.llama_n_seq_max(context)), settings.context)
        self._context, self._memory = context, api.llama_get_memory(context)
        self._vocab = api.llama_model_get_vocab(model)
        self._vocabulary = int(api.llama_vocab_n_tokens(self._vocab))
        self._keeps = can_go_back(model)
        self._size = int(api.llama_n_batch(context))
        self._reason = reason

    def _turn(self, waiting: Sequence[Question]) -> Question:
        """First the prompt of which the most is there: another might take its place."""
        return max(waiting, key=lambda one: self._alike(one)[1])

    def _alike(self, question: Question) -> tuple[Place, int]:
        """The sequence that begins with the most of a prompt's tokens, and how many those are."""
        # Two are left to compute: llama.cpp counts a single one as no prompt.
        alike = [
            reusable(one.held, question.ids[:-1]) if self._keeps else 0 for one in self._places
        ]
        most = max(alike)
        return self._places[alike.index(most)], most

    def _compute(self, question: Question) -> Computed:
        source, kept = self._alike(question)
        into = source if kept and self._is_free(source) else self._free()
        self._hold(into, source, kept)
        api.llama_perf_context_reset(self._context)
        start = time.perf_counter()
        rows = [_Row(token, at, into.at) for at, token in enumerate(question.ids)][kept:]
        parts = [rows[at : at + self._size] for at in range(0, len(rows), self._size)]
        failed = [status for part in parts if (status := self._decode(part, every=False))]
        api.llama_synchronize(self._context)  # once for all parts: one of a token is no prompt
        prefilled = time.perf_counter()
        if failed:
            self._hold(into, into, 0)
            raise ArtifactRefused(f"llama_decode answered {failed[0]}: {self._reason()}")
        evaluated = int(api.llama_perf_context(self._context).n_p_eval)
        return Computed(into, self._logits(-1), kept, evaluated, start, prefilled)

    def _advance(self, under_way: Sequence[UnderWay]) -> Iterable[Logits]:
        """All in one batch."""
        for one in under_way:
            self._check_end(one.place)
        rows = [_Row(one.tokens[-1], len(one.place.held), one.place.at) for one in under_way]
        if status := self._decode(rows, every=True):
            raise RuntimeError(f"llama_decode answered {status}: {self._reason()}")
        return map(self._logits, range(len(rows)))

    def _is_end(self, token: int) -> bool:
        return bool(api.llama_vocab_is_eog(self._vocab, token))

    def _logits(self, row: int) -> Logits:
        """Where llama.cpp keeps those of a row, until the next batch. Waits for them."""
        there = api.llama_get_logits_ith(self._context, row)
        if not there:
            raise ArtifactRefused(f"llama.cpp has no logits: {self._reason()}")
        return np.ctypeslib.as_array(there, (self._vocabulary,))

    def _hold(self, into: Place, source: Place, kept: int) -> None:
        """Leaves in `into` the first `kept` tokens of `source`, and nothing else."""
        held = source.held[:kept]
        api.llama_memory_seq_rm(self._memory, into.at, kept if into is source else 0, -1)
        if kept and into is not source:
            api.llama_memory_seq_cp(self._memory, source.at, into.at, 0, kept)
        into.held = held
        self._check_end(into)

    def _check_end(self, one: Place) -> None:
        there = int(api.llama_memory_seq_pos_max(self._memory, one.at)) + 1
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
