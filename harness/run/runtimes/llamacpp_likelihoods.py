"""Log-likelihoods with llama.cpp: a prefix once, and every option after it in one pass.

Each option is a sequence of its own. In one cache for all, a sequence takes over what another holds
without a copy, and a token that belongs to several is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llama_cpp as api
import numpy as np

from harness.run.runtimes import ArtifactRefused, Likelihoods
from harness.run.runtimes.logits import Places
from harness.run.runtimes.option_tree import Node, nodes, reusable

SEQUENCES = 64
"""One for the prefix, the others for options."""


class Scorer:
    """A context of many sequences in one cache. Sequence 0 is the prefix, which is kept."""

    def __init__(self, context: Any, model: Any) -> None:
        self._context, self._memory = context, api.llama_get_memory(context)
        self._vocabulary = int(api.llama_vocab_n_tokens(api.llama_model_get_vocab(model)))
        self._keeps = can_go_back(model)
        self._sequences = int(api.llama_n_seq_max(context))
        self._held: list[int] = []

    def forget(self) -> None:
        """Somebody else used the cache."""
        self._held = []

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        if len(options) >= self._sequences:
            raise ArtifactRefused(f"{len(options)} options; at most {self._sequences - 1} at once")
        kept = reusable(self._held, prefix) if self._keeps else 0
        tree, room = nodes(prefix, kept, options), int(api.llama_n_ctx(self._context))
        if kept + len(tree) > room:
            raise ArtifactRefused(f"{kept + len(tree)} tokens; the context has {room}")
        self._go_back(kept, len(options))
        self._held = []
        places = Places(len(options))
        size = int(api.llama_n_batch(self._context))
        for start in range(0, len(tree), size):
            self._compute(tree[start : start + size], len(options), places)
        for at, option in enumerate(options, 1):
            last = api.llama_memory_seq_pos_max(self._memory, at)
            if last != len(prefix) + len(option) - 2:
                raise RuntimeError(f"option {at} ends at {last} in the KV cache")
        self._held = prefix
        return Likelihoods(places.logprobs, places.likeliest, len(tree), kept)

    def _go_back(self, kept: int, options: int) -> None:
        """To the first `kept` tokens of the prefix, which each option then begins with."""
        memory = self._memory
        for sequence in range(1, self._sequences):
            api.llama_memory_seq_rm(memory, sequence, -1, -1)
        if kept:
            api.llama_memory_seq_rm(memory, 0, kept, -1)
        else:
            api.llama_memory_clear(memory, True)
        there = int(api.llama_memory_seq_pos_max(memory, 0)) + 1
        if there != kept:
            raise RuntimeError(f"the KV cache holds {there} tokens of the prefix, not {kept}")
        for sequence in range(1, options + 1 if kept else 0):
            api.llama_memory_seq_cp(memory, 0, sequence, -1, -1)

    def _compute(self, tree: Sequence[Node], options: int, places: Places) -> None:
        batch = api.llama_batch_init(len(tree), 0, options + 1)
        try:
            _fill(batch, tree, options)
            status = api.llama_decode(self._context, batch)
        finally:
            api.llama_batch_free(batch)
        if status:
            raise ArtifactRefused(f"llama_decode answered {status} to {len(tree)} tokens")
        for row, node in enumerate(tree):
            if node.next:
                there = api.llama_get_logits_ith(self._context, row)
                places.read(np.ctypeslib.as_array(there, (self._vocabulary,)), node.next)


def can_go_back(model: Any) -> bool:
    """Whether its cache can be taken back to an earlier token: no window's, no recurrent state."""
    return not (
        api.llama_model_n_swa(model)
        or api.llama_model_is_recurrent(model)
        or api.llama_model_is_hybrid(model)
    )


def _fill(batch: Any, tree: Sequence[Node], options: int) -> None:
    batch.n_tokens = len(tree)
    for row, node in enumerate(tree):
        batch.token[row], batch.pos[row] = node.token, node.position
        batch.logits[row] = bool(node.next)
        sequences = range(options + 1) if node.option is None else [node.option + 1]
        batch.n_seq_id[row] = len(sequences)
        for at, sequence in enumerate(sequences):
            batch.seq_id[row][at] = sequence
