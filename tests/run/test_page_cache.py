from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.run.workloads.page_cache import cached_share, evict, read_in

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """On a disk: the pages of a file in memory (tmpfs) can't be evicted."""
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(1 << 20) * 32)
    return path


def test_pages_go_and_come_back(file: Path) -> None:
    assert cached_share(file) == 1.0
    evict(file)
    assert cached_share(file) == 0.0
    read_in(file)
    assert cached_share(file) == 1.0


def test_asking_reads_nothing(file: Path) -> None:
    evict(file)
    assert [cached_share(file) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_part_is_counted_by_pages(file: Path) -> None:
    evict(file)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead
        os.pread(descriptor, 8 * PAGE, 0)
    finally:
        os.close(descriptor)
    assert cached_share(file) == pytest.approx(8 * PAGE / file.stat().st_size, rel=0.01)


def test_what_is_not_written_yet_is_evicted_too(tmp_path: Path) -> None:
    path = tmp_path / "fresh"
    path.write_bytes(b"x" * (4 << 20))
    evict(path)
    assert cached_share(path) == 0.0


def test_a_folder_is_all_its_files(file: Path) -> None:
    inner = file.parent / "inner"
    inner.mkdir()
    (inner / "more").write_bytes(file.read_bytes())
    (inner / "empty").touch()
    folder = file.parent
    evict(folder)
    assert cached_share(folder) == 0.0
    read_in(inner / "more")
    assert cached_share(folder) == pytest.approx(0.5)
    read_in(folder)
    assert cached_share(folder) == 1.0


def test_content_is_untouched(file: Path) -> None:
    before = file.read_bytes()
    evict(file)
    read_in(file)
    assert file.read_bytes() == before


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    for call in (evict, read_in, cached_share):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "nowhere")
