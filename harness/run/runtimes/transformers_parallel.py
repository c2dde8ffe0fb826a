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
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from harness.run.runtimes.parallel import Ended, Question
from harness.run.runtimes.schedule import Computed, Logits, Schedule, UnderWay
from harness.run.runtimes.transformers_cache import Pair, Room, Step


class Rows(Schedule):
    """A cache of as many rows as prompts. What an answer that is over left there is written over.

    `layers`: the room of each. `predict`: the last position's logits of one prompt, or why not.
    """

    def __init__(
        self, model: Any, layers: Sequence[Pair], ends: frozenset[int],
        predict: Callable[[torch.Tensor, Any], torch.Tensor],
    ) -> None:  # fmt: skip
        rows, _, room, _ = layers[0][0].shape
        super().__init__(rows, room)
        self._model, self._layers, self._predict = model, layers, predict
        self._ends = ends

    def step(self) -> list[Ended]:
        with torch.inference_mode():
            return super().step()

    def _compute(self, question: Question) -> Computed:
        place = self._free()
        cache = self._cache(lambda pair: Room(*(one[place.at : place.at + 1] for one in pair)))
        start = time.perf_counter()
        predicted = self._predict(torch.tensor([question.ids], device=self._model.device), cache)
        logits = predicted[0, 0].float().numpy(force=True)  # waits for the device
        prefilled = time.perf_counter()
        return Computed(place, logits, 0, int(cache.get_seq_length()), start, prefilled)

    def _advance(self, under_way: Sequence[UnderWay]) -> Iterable[Logits]:
        """A row without an answer is fed a zero."""
        device, dtype = self._model.device, self._model.dtype
        newest, lengths = ([0] * len(self._places) for _ in range(2))
        for one in under_way:
            newest[one.place.at], lengths[one.place.at] = one.tokens[-1], len(one.place.held)
        held = torch.tensor(lengths, device=device)
        most = max(lengths) + 1
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
        every = out.logits[:, -1].float().numpy(force=True)
        return [every[one.place.at] for one in under_way]

    def _is_end(self, token: int) -> bool:
        return token in self._ends

    def _cache(self, layer: Callable[[Pair], Any]) -> Any:
        cache = DynamicCache(config=self._model.config)
        cache.layers = [layer(pair) for pair in self._layers]
        return cache
