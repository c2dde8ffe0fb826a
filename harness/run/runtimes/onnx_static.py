"""Decoding over ONNX graphs of fixed shapes, as NPUs need them.

Two graphs of one decoder, a wide one for the prompt and one for a single token, each with a cache
of fixed length. They give the keys and values of new tokens alone; here these are written behind
those of the tokens before. A prompt is cut into pieces as wide as the graph, the last one padded:
what stands for nothing is masked, and its keys and values are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as api

from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.onnx_call import Array, Sessions, type_of

MASKED = -100.0
"""Added to the score of what may not be attended to. Enough for softmax to give it nothing, and
little enough for 16 bits to keep the scores themselves apart."""


def pair(
    one: api.InferenceSession, other: api.InferenceSession
) -> tuple[api.InferenceSession, api.InferenceSession]:
    """The graph of one token, then the wider one. Raises ArtifactRefused for two others."""
    narrow, wide = sorted((one, other), key=_width)
    if _width(narrow) != 1 or _width(wide) == 1:
        raise ArtifactRefused(
            f"graphs of fixed shapes for 1 token and for more, not {_width(narrow)} and "
            f"{_width(wide)}"
        )
    return narrow, wide


class Rows:
    """The cache: for every layer keys and values, a row for each token of the context."""

    def __init__(self, sessions: Sessions, parts: Mapping[str, str], context: int) -> None:
        inputs = {one.name: one for one in sessions.decoder.get_inputs()}
        self.outputs = ["logits", *parts.values()]
        self.fed: dict[str, Array] = {
            past: np.zeros(inputs[past].shape, type_of(inputs[past])) for past in parts
        }
        room = next(iter(self.fed.values())).shape[2]
        if context > room:
            raise ArtifactRefused(f"{context} tokens of context; the graphs are made for {room}")
        self.context = context

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for array in self.fed.values())

    def clear(self) -> None:
        self.back_to(0)

    def back_to(self, tokens: int) -> None:
        """With zeros behind, by which `filled` tells what was written since."""
        for array in self.fed.values():
            array[:, :, tokens:] = 0

    def write(self, new: Sequence[Array], past: int, count: int) -> None:
        """The first `count` rows of each, behind `past` others."""
        for array, one in zip(self.fed.values(), new, strict=True):
            array[:, :, past : past + count] = one[:, :, :count]

    def filled(self) -> int:
        keys = next(iter(self.fed.values()))
        return int(keys.any(axis=(0, 1, 3)).sum())


class Steps:
    """Evaluates `count` tokens at once: write their `ids`, then run; as a `Call`."""

    def __init__(self, sessions: Sessions, rows: Rows, count: int) -> None:
        self.ids = np.zeros((1, count), np.int64)
        self._embedder, self._rows = sessions.embedder, rows
        self._session = sessions.decoder if count == 1 else sessions.twin
        inputs = {one.name: one for one in self._session.get_inputs()}
        self._embeddings, self._bias = inputs["inputs_embeds"], inputs["attention_bias"]

    def run(self, past: int) -> Array:
        """The logits of the last token."""
        embeddings = self._embedder.run(None, {"input_ids": self.ids})[0]
        width = self._embeddings.shape[1]
        for start in range(0, self.ids.shape[1], width):
            logits = self._piece(embeddings[:, start : start + width], past + start)
        return logits

    def _piece(self, embeddings: Array, past: int) -> Array:
        count, width = embeddings.shape[1], self._embeddings.shape[1]
        padded = np.zeros(self._embeddings.shape, type_of(self._embeddings))
        padded[:, :count] = embeddings
        bias = np.full(self._bias.shape, MASKED, type_of(self._bias))
        bias[..., :past] = 0
        bias[..., -width:][..., np.tri(width, dtype=np.bool_)] = 0
        positions = past + np.minimum(np.arange(width, dtype=np.int32), count - 1)
        fed = {
            "inputs_embeds": padded,
            "attention_bias": bias,
            "position_ids": positions[None],
            **self._rows.fed,
        }
        logits, *new = self._session.run(self._rows.outputs, fed)
        self._rows.write(new, past, count)
        last: Array = logits[0, count - 1]
        return last


def _width(session: api.InferenceSession) -> int:
    return int(next(one for one in session.get_inputs() if one.name == "inputs_embeds").shape[1])
