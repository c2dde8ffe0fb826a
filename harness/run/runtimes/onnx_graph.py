"""What an ONNX file says of itself, without being loaded: inputs, outputs, how its cache is kept.

Of the protobuf only the fields that matter are read and weights are passed over, so that a graph
which is not run costs nothing. Nothing is checked beyond that: ONNX
Runtime does it, when it loads the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from harness.run.runtimes import ArtifactRefused

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 11, 12
_VALUE_NAME = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4

_PAST, _PRESENT = (3, 4), (1, 2)
"""Where GroupQueryAttention takes the past's keys and values, and gives the present's."""


@dataclass(frozen=True)
class Graph:
    """`cache`: each input that takes a part of the past, and the output that gives it back.

    `in_place`: whether one buffer may be both, because GroupQueryAttention alone writes it.
    """

    path: Path
    inputs: frozenset[str]
    outputs: frozenset[str]
    cache: dict[str, str]
    in_place: bool

    @property
    def decodes(self) -> bool:
        """From tokens or their embeddings and a past to logits."""
        return bool(
            self.cache and "logits" in self.outputs and self.inputs & {"input_ids", "inputs_embeds"}
        )

    @property
    def fixed(self) -> bool:
        """Of fixed shapes: keys and values of new tokens come out alone. See `onnx_static`."""
        return self.decodes and "attention_bias" in self.inputs

    @property
    def embeds(self) -> bool:
        """From tokens alone to embeddings."""
        return self.inputs == {"input_ids"} and len(self.outputs) == 1

    @property
    def sees(self) -> bool:
        """From pixels, and a mask of those that count, to features in a token's place."""
        extra = self.inputs - {"pixel_values", "pixel_attention_mask"}
        return "pixel_values" in self.inputs and not extra and self.outputs == {"image_features"}


@dataclass(frozen=True)
class Parts:
    """A decoder, what embeds tokens where it takes none, and what embeds images where there is one.

    A decoder that takes tokens has no place for an image's features. One of fixed shapes has a twin
    of another width.
    """

    decoder: Graph
    embedder: Graph | None
    vision: Graph | None
    twin: Graph | None = None


def find(folder: Path) -> Parts:
    """The parts among the folder's graphs. Raises ArtifactRefused unless they are unmistakable."""
    graphs = [read(path) for path in sorted(folder.rglob("*.onnx"))]
    decoders = [graph for graph in graphs if graph.decodes]
    twin = decoders.pop() if [graph.fixed for graph in decoders] == [True, True] else None
    decoder = _only(decoders, "decoder", graphs)
    if "input_ids" in decoder.inputs:
        return Parts(decoder, None, None)
    embedder = _only([graph for graph in graphs if graph.embeds], "embedder", graphs)
    seeing = [graph for graph in graphs if graph.sees]
    vision = _only(seeing, "vision encoder", graphs) if seeing else None
    return Parts(decoder, embedder, vision, twin)


def _only(found: list[Graph], what: str, all_: list[Graph]) -> Graph:
    if len(found) == 1:
        return found[0]
    names = ", ".join(graph.path.name for graph in found or all_) or "none"
    if found:
        raise ArtifactRefused(f"an artifact has one {what}, here are {len(found)}: {names}")
    raise ArtifactRefused(f"no {what} among the ONNX graphs: {names}")


def read(path: Path) -> Graph:
    """Raises ArtifactRefused where the file is no whole ONNX model."""
    inputs: set[str] = set()
    outputs: set[str] = set()
    shared: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            for number, size in _graph(file, path.stat().st_size):
                if number == _GRAPH_INPUT:
                    inputs.add(_name(file.read(size)))
                elif number == _GRAPH_OUTPUT:
                    outputs.add(_name(file.read(size)))
                elif number == _GRAPH_NODE:
                    shared |= _written_in_place(file.read(size))
    except (OSError, ValueError) as error:
        raise ArtifactRefused(f"{path.name} is no whole ONNX model: {error}") from error
    cache = _cache(inputs, outputs)
    in_place = bool(cache) and all(shared.get(past) == cache[past] for past in cache)
    return Graph(path, frozenset(inputs), frozenset(outputs), cache, in_place)


def _cache(inputs: set[str], outputs: set[str]) -> dict[str, str]:
    """Past and present by the names that every exporter gives them, in the order of the layers."""
    parts = []
    for name in inputs:
        found = re.fullmatch(r"past_key_values\.(\d+)\.(key|value)", name)
        if found and (present := f"present.{found[1]}.{found[2]}") in outputs:
            parts.append((int(found[1]), found[2], name, present))
    return {past: present for _, _, past, present in sorted(parts)}


def _written_in_place(node: bytes) -> dict[str, str]:
    """What a GroupQueryAttention takes as the past and gives as the present."""
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_OPERATOR: []}
    file = BytesIO(node)
    for number, size in _fields(file, len(node)):
        if number in texts:
            texts[number].append(file.read(size).decode())
    if texts[_NODE_OPERATOR] != ["GroupQueryAttention"]:
        return {}
    inputs, outputs = texts[_NODE_INPUT], texts[_NODE_OUTPUT]
    return {
        inputs[past]: outputs[present]
        for past, present in zip(_PAST, _PRESENT, strict=True)
        if past < len(inputs) and present < len(outputs)
    }


def _name(value: bytes) -> str:
    file = BytesIO(value)
    for number, size in _fields(file, len(value)):
        if number == _VALUE_NAME:
            return file.read(size).decode()
    raise ValueError("an input or output has no name")


def _graph(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """The fields of the model's graph."""
    for number, size in _fields(file, end):
        if number == _MODEL_GRAPH:
            yield from _fields(file, file.tell() + size)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Number and size of each field up to `end`; the file stands at its content meanwhile."""
    while (at := file.tell()) < end:
        key = _varint(file)
        kind = key & 7
        if kind == 0:
            size = 0
            _varint(file)
        elif kind == 2:
            size = _varint(file)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"byte {at} begins no field")
        content = file.tell()
        if content + size > end:
            raise ValueError(f"it should go on to byte {content + size} and ends at {end}")
        yield key >> 3, size
        file.seek(content + size)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number has no end")
