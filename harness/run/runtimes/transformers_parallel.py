"""Several prompts at once with transformers: each a row of one cache, all a token on in one step.

A step multiplies each weight with all rows at once. A prompt is computed by itself, whole, as where
it is alone: its first token is the same, and as likely to the bit.

Does not guarantee the answers of one prompt at a time. With more rows PyTorch adds in another
order, and where two tokens are about equally likely, an answer goes another way from there on. A
step has every row, whether or not a prompt is under way in it, so that the number of others changes
nothing; how long they are may.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from harness.run.runtimes import ArtifactRefused, NoRoom
from harness.run.runtimes.logits import likeliest, picker
from harness.run.runtimes.parallel import Ended, Question, UnderWay
from harness.run.runtimes.transformers_cache import Pair, Room, Step


@dataclass
class _Row:
    """`held`: tokens in the cache. What an answer that is over left there is written over."""

    held: int = 0
    under_way: UnderWay | None = None


class Rows:
    """A cache of as many rows as prompts. Implements `runtimes.parallel.Parallel`.

    `layers`: the room of each. `predict`: the last position's logits of one prompt, or why not.
    """

    def __init__(
        self, model: Any, layers: Sequence[Pair], ends: frozenset[int],
        predict: Callable[[torch.Tensor, Any], torch.Tensor],
    ) -> None:  # fmt: skip
        self._model, self._layers, self._predict = model, layers, predict
        self._is_end = ends.__contains__
        rows, _, self._room, _ = layers[0][0].shape
        self._rows = [_Row() for _ in range(rows)]
        self._waiting: list[Question] = []

    def take(self, question: Question) -> None:
        self._waiting.append(question)

    def step(self) -> list[Ended]:
        """Computes the prompts that wait or else, if none does, a token of each answer."""
        with torch.inference_mode():
            return self._begin() if self._waiting else self._go_on()

    def _begin(self) -> list[Ended]:
        over: list[Ended] = []
        while self._waiting:
            question = self._waiting.pop(0)
            try:
                over += self._evaluate(question)
            except ArtifactRefused as error:
                over.append((question, error))
        return over

    def _evaluate(self, question: Question) -> list[Ended]:
        """Computes a prompt, and gives the first token of its answer."""
        ids = question.ids
        if len(ids) > self._room:
            raise NoRoom(f"{len(ids)} tokens; the context has {self._room}")
        at = next(at for at, row in enumerate(self._rows) if not row.under_way)
        cache = self._cache(lambda pair: Room(*(one[at : at + 1] for one in pair)))
        start = time.perf_counter()
        predicted = self._predict(torch.tensor([ids], device=self._model.device), cache)
        logits = predicted[0, 0].float().numpy(force=True)  # waits for the device
        prefilled = time.perf_counter()
        held = int(cache.get_seq_length())
        first, pick = likeliest(logits, question.top), picker(question.mask)
        under_way = UnderWay(question, pick, 0, held, start, prefilled, first)
        self._rows[at] = _Row(held, under_way)
        return self._add(self._rows[at], logits)

    def _go_on(self) -> list[Ended]:
        """A further token of each answer."""
        over: list[Ended] = []
        for row in self._rows:
            if row.under_way and row.held == self._room:
                full = NoRoom(f"no room in the context of {self._room} tokens")
                over.append((row.under_way.question, full))
                row.under_way = None
        if not any(row.under_way for row in self._rows):
            return over
        every = self._next()
        for row, logits in zip(self._rows, every, strict=True):
            if row.under_way:
                row.held += 1
                over += self._add(row, logits)
        return over

    def _next(self) -> Any:
        """The logits after the newest token of each row; one without an answer is fed a zero."""
        device, dtype = self._model.device, self._model.dtype
        newest = [row.under_way.tokens[-1] if row.under_way else 0 for row in self._rows]
        held = torch.tensor([row.held if row.under_way else 0 for row in self._rows], device=device)
        most = int(held.max()) + 1
        hidden = torch.arange(most, device=device) > held[:, None]
        mask = torch.zeros(hidden.shape, dtype=dtype, device=device)
        mask.masked_fill_(hidden, torch.finfo(dtype).min)
        out = self._model(
            input_ids=torch.tensor(newest, device=device)[:, None],
            position_ids=held[:, None],
            attention_mask=mask[:, None, None],
            past_key_values=self._cache(lambda pair: Step(*pair, held, most)),
            use_cache=True,
        )
        return out.logits[:, -1].float().numpy(force=True)

    def _add(self, row: _Row, logits: Any) -> list[Ended]:
        """A token of the answer; the answer, if it is over."""
        if row.under_way is None:
            raise ValueError("a row without a question")
        ending = row.under_way.add(logits, self._is_end)
        if ending is None:
            return []
        over, row.under_way = row.under_way, None
        return [(over.question, over.answer(ending))]

    def _cache(self, layer: Callable[[Pair], Any]) -> Any:
        cache = DynamicCache(config=self._model.config)
        cache.layers = [layer(pair) for pair in self._layers]
        return cache
