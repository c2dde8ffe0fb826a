"""The source `pypi-parts`: a file that is spread over wheels is whole, or not there at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ask.models import Artifact, Model, PypiPartsSource
from harness.errors import BadFile, MissingError
from harness.prepare import identity, need, prepare

Build = Callable[..., tuple[Model, Artifact]]
PIECES = (b"first " * 1000, b"second " * 1000, b"last")
WHOLE = b"".join(PIECES)


def files(cache: Path) -> list[str]:
    """The names in the cache, without locks and records."""
    found = [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(path.name for path in found if path.suffix != ".json")


def test_the_parts_are_joined_in_order_and_leave_nothing_else(cache: Path, parts: Build) -> None:
    model, artifact = parts(*PIECES)
    expected = need(model, artifact)
    assert (expected.present, expected.download_bytes) == (False, len(WHOLE))
    assert expected.disk_bytes >= len(WHOLE) + 2 * max(map(len, PIECES))
    seen: list[tuple[int, int]] = []
    made = prepare(model, artifact, progress=lambda _, done, total: seen.append((done, total)))
    assert made.path.read_bytes() == WHOLE
    assert made.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert identity(model, artifact) == f"sha256:{made.sha256}"
    assert files(cache) == ["tiny.gguf"]
    assert seen == sorted(seen)
    assert seen[-1] == (len(WHOLE), len(WHOLE))
    assert need(model, artifact).present


def test_a_whole_that_is_not_as_named_is_refused(cache: Path, parts: Build) -> None:
    with pytest.raises(BadFile, match=r"tiny\.gguf: sha256 should be 0{64}"):
        prepare(*parts(*PIECES, sha256="0" * 64))
    assert files(cache) == []


def test_a_part_that_is_not_as_named_is_refused(cache: Path, parts: Build) -> None:
    model, artifact = parts(*PIECES)
    assert isinstance(artifact.source, PypiPartsSource)
    wrong = [one.model_copy(update={"sha256": "0" * 64}) for one in artifact.source.parts]
    source = artifact.source.model_copy(update={"parts": wrong})
    with pytest.raises(BadFile, match=r"tiny_part0/tiny\.0 in tiny_part0-1\.0"):
        prepare(model, artifact.model_copy(update={"source": source}))
    assert files(cache) == []


def test_a_part_that_is_not_to_be_had_leaves_nothing(
    cache: Path, parts: Build, index: Path
) -> None:
    model, artifact = parts(*PIECES)
    (index / "tiny_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(MissingError, match=r"tiny-part2 1\.0"):
        prepare(model, artifact)
    assert files(cache) == []


def test_offline_fetches_none(cache: Path, parts: Build) -> None:
    with pytest.raises(MissingError, match="offline was asked for"):
        prepare(*parts(*PIECES), offline=True)
