"""Damaged model files. Each must end as a cause, within its memory, and the harness goes on.

The header is SmolLM2's own; the weights behind it are a hole in a sparse file. CLAIMBENCH_HOSTILE
sets how many files are tried: 200 by default, 2,000 for a full round.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
from workers import LLAMACPP, SETTINGS, fake, outcome

from harness.run.limit import cap
from harness.run.manager import Worker
from harness.run.records import Cause

COUNT = int(os.environ.get("CLAIMBENCH_HOSTILE", "200"))
SILENCE_SECONDS = 60.0
MEMORY = 1 << 30
HUGE = (2**63 - 1, 2**64 - 1, 2**32, 2**31, 2**40, 2**61, 10**9)
_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclass
class Header:
    """The bytes before the weights, and where in them the fields of each sort lie."""

    raw: bytes
    size: int
    """Of the whole file."""
    lengths: list[int] = field(default_factory=list)  # 8 bytes: of keys, strings and arrays
    types: list[int] = field(default_factory=list)  # 4 bytes: of values, elements and tensors
    numbers: list[int] = field(default_factory=list)  # 8 bytes: shapes and offsets of tensors

    def __post_init__(self) -> None:
        self._at = 24
        tensors, values = struct.unpack_from("<QQ", self.raw, 8)
        for _ in range(values):
            self._string()
            self._value(self._take("I", self.types))
        for _ in range(tensors):
            self._string()
            for _ in range(self._take("I", None)):
                self._take("Q", self.numbers)
            self._take("I", self.types)
            self._take("Q", self.numbers)
        self.raw = self.raw[: -(-self._at // 32) * 32]

    def _take(self, kind: str, places: list[int] | None) -> int:
        if places is not None:
            places.append(self._at)
        (found,) = struct.unpack_from("<" + kind, self.raw, self._at)
        self._at += struct.calcsize(kind)
        return int(found)

    def _string(self, places: bool = True) -> None:
        length = self._take("Q", self.lengths if places else None)
        self._at += length

    def _value(self, kind: int) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            element, count = self._take("I", self.types), self._take("Q", self.lengths)
            for at in range(count):
                if element == _STRING:
                    self._string(places=at < 10)  # 49,152 tokens: a few stand for all
                else:
                    self._at += _SIZES[element]
        else:
            self._at += _SIZES[kind]


@pytest.fixture(scope="module")
def header(smollm2: Path) -> Header:
    with smollm2.open("rb") as file:
        return Header(file.read(8 << 20), smollm2.stat().st_size)


Damage = Callable[[Header, random.Random], tuple[bytes, int]]


def cut(header: Header, draw: random.Random) -> tuple[bytes, int]:
    end = draw.randrange(len(header.raw))
    return header.raw[:end], end


def cut_weights(header: Header, draw: random.Random) -> tuple[bytes, int]:
    return header.raw, draw.randrange(len(header.raw), header.size)


def huge_count(header: Header, draw: random.Random) -> tuple[bytes, int]:
    return put(header, "<Q", draw.choice((8, 16)), draw.choice(HUGE))


def huge_length(header: Header, draw: random.Random) -> tuple[bytes, int]:
    return put(header, "<Q", draw.choice(header.lengths), draw.choice(HUGE))


def wrong_type(header: Header, draw: random.Random) -> tuple[bytes, int]:
    return put(header, "<I", draw.choice(header.types), draw.choice((*range(13), 99, 2**31)))


def wrong_number(header: Header, draw: random.Random) -> tuple[bytes, int]:
    return put(header, "<Q", draw.choice(header.numbers), draw.choice((0, 1, 7, *HUGE)))


def flip(header: Header, draw: random.Random) -> tuple[bytes, int]:
    """Among the first fields, or among the tensors at the end: between them are only tokens."""
    raw = bytearray(header.raw)
    for _ in range(draw.randrange(1, 9)):
        end = draw.randrange(max(0, len(raw) - 16_000), len(raw))
        at = draw.choice((draw.randrange(2048), end))
        raw[at] ^= 1 << draw.randrange(8)
    return bytes(raw), header.size


def put(header: Header, kind: str, at: int, value: int) -> tuple[bytes, int]:
    raw = bytearray(header.raw)
    struct.pack_into(kind, raw, at, value)
    return bytes(raw), header.size


FATAL: tuple[Damage, ...] = (cut, cut_weights, huge_count, huge_length)
"""Nothing can be made of these. The others may hit what no one needs, and be loaded."""
DAMAGES: tuple[Damage, ...] = (*FATAL, wrong_type, wrong_number, flip)


def tried(header: Header, folder: Path, seed: int) -> tuple[Damage, str]:
    """One damaged file in one worker: the damage, and how the worker ended."""
    draw = random.Random(seed)
    damage = DAMAGES[seed % len(DAMAGES)]
    raw, size = damage(header, draw)
    path = folder / f"{seed}.gguf"
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(max(size, 0))
    request = fake("loads", runtime=LLAMACPP, artifact=str(path), settings=SETTINGS)
    _, error = outcome(Worker(request, SILENCE_SECONDS, cap=cap(MEMORY)))
    path.unlink()
    return damage, error.cause if error else "loaded"


def test_the_header_is_understood(header: Header, tmp_path: Path) -> None:
    """Undamaged, header and hole are a model that loads: what fails below fails for its damage."""
    tensors, values = struct.unpack_from("<QQ", header.raw, 8)
    assert len(header.lengths) >= tensors + values
    assert len(header.types) >= tensors + values
    assert len(header.numbers) >= 2 * tensors
    path = tmp_path / "whole.gguf"
    with path.open("wb") as file:
        file.write(header.raw)
        file.truncate(header.size)
    request = fake("loads", runtime=LLAMACPP, artifact=str(path), settings=SETTINGS)
    (said,), error = outcome(Worker(request, SILENCE_SECONDS, cap=cap(MEMORY)))
    assert error is None
    assert said["header"]["context_window"] == 8192


def test_every_damaged_file_ends_as_a_cause(header: Header, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda seed: tried(header, tmp_path, seed), range(COUNT)))
    assert len(ends) == COUNT
    assert {end for _, end in ends} <= {"loaded", *get_args(Cause)}
    assert [damage.__name__ for damage, end in ends if damage in FATAL and end == "loaded"] == []
    counts = Counter(end for _, end in ends)
    assert counts["bad_artifact"] > COUNT // 2, counts
    assert counts["timeout"] == 0, counts
