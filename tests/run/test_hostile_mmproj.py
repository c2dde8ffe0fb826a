"""Damaged mmproj files beside a good model: each ends as a cause, and the harness goes on.

CLAIMBENCH_HOSTILE sets how many are tried: a tenth of it, 20 by default.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

from test_hostile_gguf import (
    COUNT,
    DAMAGES,
    FATAL,
    MEMORY,
    SILENCE_SECONDS,
    Damage,
    Header,
    put,
)
from test_llamacpp_vision import exported
from workers import LLAMACPP, SETTINGS, fake, outcome

from harness.run.limit import cap
from harness.run.manager import Worker
from harness.run.records import Cause

TRIED = COUNT // 10


NUMBERS = (
    b"clip.vision.image_size",
    b"clip.vision.patch_size",
    b"clip.vision.block_count",
    b"clip.vision.embedding_length",
    b"clip.vision.attention.head_count",
    b"clip.vision.projector.scale_factor",
    b"clip.vision.preproc_image_size",
)


def wrong_shape(header: Header, draw: random.Random) -> tuple[bytes, int]:
    """A number that sizes the tower, or a picture, is another one."""
    key = draw.choice(NUMBERS)
    at = header.raw.index(key) + len(key) + 4  # after its type
    return put(header, "<I", at, draw.choice((0, 1, 7, 10**6, 2**31 - 1, 2**31, 2**32 - 1)))


def tried(folder: Path) -> tuple[object, str]:
    """What the worker said of a folder, and how it ended."""
    request = fake("looks", runtime=LLAMACPP, artifact=str(folder), settings=SETTINGS)
    said, error = outcome(Worker(request, SILENCE_SECONDS, cap=cap(MEMORY)))
    return said, error.cause if error else "seen"


def damaged(parent: Path, seed: int) -> tuple[Damage, str]:
    """One damaged file in one worker: the damage, and how the worker ended."""
    draw, good = random.Random(seed), exported("f16")
    whole = (good / "mmproj.gguf").read_bytes()
    damage = (wrong_shape, *DAMAGES)[seed % (len(DAMAGES) + 1)]
    raw, size = damage(Header(whole, len(whole)), draw)
    folder = parent / str(seed)
    folder.mkdir()
    (folder / "model.gguf").symlink_to(good / "model.gguf")
    (folder / "mmproj.gguf").write_bytes((raw + whole[len(raw) :])[: max(size, 0)])
    _, end = tried(folder)
    shutil.rmtree(folder)
    return damage, end


def test_undamaged_it_is_seen_with() -> None:
    said, end = tried(exported("f16"))
    assert (said, end) == ([{"image_tokens": 16, "tokens": 2}], "seen")


def test_every_damaged_mmproj_ends_as_a_cause(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda seed: damaged(tmp_path, seed), range(TRIED)))
    assert len(ends) == TRIED
    assert {end for _, end in ends} <= {"seen", *get_args(Cause)}
    assert [damage.__name__ for damage, end in ends if damage in FATAL and end == "seen"] == []
    counts = Counter(end for _, end in ends)
    assert counts["timeout"] == 0, counts
