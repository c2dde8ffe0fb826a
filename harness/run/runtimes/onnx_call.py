"""Calls of ONNX graphs with everything bound before the clock runs, and the cache between them.

The cache stays where the device's memory is. Does not guarantee anything of a graph that takes or
gives something else than `harness.run.runtimes.onnx_graph` knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnxruntime as api

from harness.run.runtimes import ArtifactRefused

Array = np.ndarray[Any, np.dtype[Any]]

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}
_BATCH, _HEADS, _TOKENS, _SIZE = range(4)  # the axes of a tensor of the cache


@dataclass(frozen=True)
class Sessions:
    """What runs a model: `memory` is ONNX Runtime's name of where the device's memory is.

    `head_size`: as the configuration has it, for graphs that leave it open. `embedder`: a session,
    or what stands for one. `twin`: the decoder in another width, where its shapes are fixed.
    """

    decoder: api.InferenceSession
    embedder: Any
    memory: str
    head_size: int | None
    twin: Any = None

    @property
    def vocabulary(self) -> int:
        return _fixed(_find(self.decoder.get_outputs(), "logits"), -1)


class Cache(Protocol):
    """Keys and values of the tokens so far, a tensor of each for every layer."""

    context: int
    """The most tokens that it holds."""

    @property
    def bytes(self) -> int | None:
        """What it takes, where that does not grow with the tokens."""
        ...

    def clear(self) -> None: ...

    def back_to(self, tokens: int) -> None:
        """Forgets what came after so many tokens."""
        ...

    def bind(self, binding: api.IOBinding) -> None:
        """When a call is made; `before` and `after` are for each time that it runs."""
        ...

    def before(self, binding: api.IOBinding) -> None: ...

    def after(self, binding: api.IOBinding) -> None: ...

    def filled(self) -> int:
        """Tokens that the cache holds, told by the cache itself."""
        ...


class Buffers:
    """Tensors of the context's length, each bound as past and as present: written in place."""

    def __init__(self, sessions: Sessions, parts: dict[str, str], context: int) -> None:
        self._parts = parts
        self._values = {past: _allocate(sessions, past, context) for past in parts}
        self._keys = next(iter(self._values.values()))
        self.context = int(self._keys.shape()[_TOKENS])
        self.clear()

    @property
    def bytes(self) -> int:
        return sum(value.tensor_size_in_bytes() for value in self._values.values())

    def clear(self) -> None:
        """With zeros, by which `filled` tells what was written since."""
        zeros = np.zeros(self._keys.shape(), _TYPES[self._keys.data_type()])
        for value in self._values.values():
            value.update_inplace(zeros)

    def back_to(self, tokens: int) -> None:
        """With zeros behind, as `clear`."""
        for value in self._values.values():
            kept = value.numpy().copy()
            kept[:, :, tokens:] = 0
            value.update_inplace(kept)

    def bind(self, binding: api.IOBinding) -> None:
        for past, present in self._parts.items():
            binding.bind_ortvalue_input(past, self._values[past])
            binding.bind_ortvalue_output(present, self._values[past])

    def before(self, binding: api.IOBinding) -> None:
        """Everything stays bound."""

    def after(self, binding: api.IOBinding) -> None:
        """The present is in place."""

    def filled(self) -> int:
        return int(self._keys.numpy().any(axis=(_BATCH, _HEADS, _SIZE)).sum())


class Chain:
    """Tensors as long as what they hold: each call's present is the next call's past."""

    bytes = None

    def __init__(self, sessions: Sessions, parts: dict[str, str], context: int) -> None:
        self._parts, self._memory, self.context = parts, sessions.memory, context
        self._empty = [_allocate(sessions, past, 0) for past in parts]
        self.clear()

    def clear(self) -> None:
        self._values = self._empty

    def back_to(self, tokens: int) -> None:
        """By copies: what a call gave belongs to ONNX Runtime."""
        if tokens < self.filled():
            kept = [np.ascontiguousarray(one.numpy()[:, :, :tokens]) for one in self._values]
            self._values = [api.OrtValue.ortvalue_from_numpy(one, self._memory) for one in kept]

    def bind(self, binding: api.IOBinding) -> None:
        """Nothing yet: what is bound has another length each time."""

    def before(self, binding: api.IOBinding) -> None:
        for (past, present), value in zip(self._parts.items(), self._values, strict=True):
            binding.bind_ortvalue_input(past, value)
            binding.bind_output(present, self._memory)

    def after(self, binding: api.IOBinding) -> None:
        _, *self._values = binding.get_outputs()  # in the order of binding: logits first

    def filled(self) -> int:
        return int(self._values[0].shape()[_TOKENS])


class Call:
    """One call of the graphs with `count` tokens each time, `pasts` the lengths of what is before.

    `ids` are the tokens: write them, then run.
    """

    def __init__(self, sessions: Sessions, cache: Cache, count: int, pasts: range) -> None:
        self.ids = np.zeros((1, count), np.int64)
        self._sessions, self._cache = sessions, cache
        self._decode, self._embed = sessions.decoder.io_binding(), None
        self._logits = self._bind_logits(count)
        cache.bind(self._decode)
        self._ids = _value(self.ids)
        if sessions.embedder:
            self._embed = self._bind_embeddings(sessions.embedder, count)
        inputs = {one.name: one for one in sessions.decoder.get_inputs()}
        if "num_logits_to_keep" in inputs:
            keep = np.ones([1] * len(inputs["num_logits_to_keep"].shape), np.int64)
            self._decode.bind_ortvalue_input("num_logits_to_keep", _value(keep))
        self._fed = _fed(inputs.keys(), pasts, count)

    def _bind_logits(self, count: int) -> Array | None:
        """Of one token they have their place; of more the graph may give all rows or the last."""
        if count > 1:
            self._decode.bind_output("logits", "cpu")
            return None
        kind = type_of(_find(self._sessions.decoder.get_outputs(), "logits"))
        logits = np.zeros((1, 1, self._sessions.vocabulary), kind)
        self._decode.bind_ortvalue_output("logits", _value(logits))
        return logits

    def _bind_embeddings(self, embedder: api.InferenceSession, count: int) -> api.IOBinding:
        """The embedder writes where the decoder reads."""
        binding, (output,) = embedder.io_binding(), embedder.get_outputs()
        shape = [1, count, _fixed(output, -1)]
        embeddings = _tensor(shape, type_of(output), self._sessions.memory)
        binding.bind_ortvalue_output(output.name, embeddings)
        self._decode.bind_ortvalue_input("inputs_embeds", embeddings)
        return binding

    def run(self, past: int) -> Array:
        """The logits of the last token.

        What is in the CPU's memory is bound each time: that is when another device gets its copy.
        """
        if self._embed and self._sessions.embedder:
            self._embed.bind_ortvalue_input("input_ids", self._ids)
            self._sessions.embedder.run_with_iobinding(self._embed)
        else:
            self._decode.bind_ortvalue_input("input_ids", self._ids)
        for name, value in self._fed[past]:
            self._decode.bind_ortvalue_input(name, value)
        self._cache.before(self._decode)
        self._sessions.decoder.run_with_iobinding(self._decode)
        self._cache.after(self._decode)
        if self._logits is None:
            self._logits = np.from_dlpack(self._decode.get_outputs()[0])
        last: Array = self._logits[0, -1]
        return last


Fed = dict[int, list[tuple[str, api.OrtValue]]]


def _fed(inputs: Iterable[str], pasts: range, count: int) -> Fed:
    """By the length of what is before: the inputs that follow from it alone."""
    longest = pasts.stop + count
    mask, positions = np.ones((1, longest), np.int64), np.arange(longest)[None]
    return {
        past: [
            (name, _value(array))
            for name, array in (
                ("attention_mask", mask[:, : past + count]),
                ("position_ids", positions[:, past : past + count]),
            )
            if name in inputs
        ]
        for past in pasts
    }


def _value(array: Array) -> api.OrtValue:
    """The array itself, not a copy of it."""
    return api.OrtValue.ortvalue_from_numpy(array)


def _tensor(shape: list[int], kind: np.dtype[Any], memory: str) -> api.OrtValue:
    return api.OrtValue.ortvalue_from_shape_and_type(shape, kind, memory)


def _allocate(sessions: Sessions, past: str, tokens: int) -> api.OrtValue:
    """Room for so many tokens in one tensor of the cache."""
    wanted = _find(sessions.decoder.get_inputs(), past)
    size = sessions.head_size or _fixed(wanted, _SIZE)
    shape = [1, _fixed(wanted, _HEADS), tokens, size]
    return _tensor(shape, type_of(wanted), sessions.memory)


def _find(nodes: Iterable[api.NodeArg], name: str) -> api.NodeArg:
    return next(one for one in nodes if one.name == name)


def _fixed(node: api.NodeArg, axis: int) -> int:
    size = node.shape[axis]
    if not isinstance(size, int):
        raise ArtifactRefused(f"{node.name}: its size {node.shape} is not fixed where it must be")
    return size


def type_of(node: api.NodeArg) -> np.dtype[Any]:
    """NumPy's name of a floating-point type. Raises ArtifactRefused for others."""
    if node.type not in _TYPES:
        raise ArtifactRefused(f"{node.name} is {node.type}, not {' or '.join(_TYPES)}")
    return _TYPES[node.type]
