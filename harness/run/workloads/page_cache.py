"""Puts an artifact's pages out of the page cache or into it, and asks how many are there.

An artifact is a file or a folder of files. Linux only. Eviction is a request (posix_fadvise(2)):
dirty or mapped pages stay. So it is checked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

_CHUNK = 8 << 20


def evict(path: Path) -> None:
    """Asks the kernel to drop the artifact's pages."""
    for file in _files(path):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def read_in(path: Path) -> None:
    """Reads the artifact once, so that its pages are in the cache if there is room."""
    for part in _files(path):
        with part.open("rb", buffering=0) as file:
            while file.read(_CHUNK):
                continue


def cached_share(path: Path) -> float:
    """Share of the artifact's pages in the page cache (mincore(2)), 0 to 1. Nothing is read."""
    counts = [_cached(file) for file in _files(path)]
    return sum(cached for cached, _ in counts) / sum(pages for _, pages in counts)


def _files(path: Path) -> list[Path]:
    """Those that have pages."""
    inside = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return [one for one in inside if one.stat().st_size]


def _cached(path: Path) -> tuple[int, int]:
    """Pages in the cache, and pages in all."""
    size = path.stat().st_size
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    ]
    descriptor = os.open(path, os.O_RDONLY)
    try:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        resident = (ctypes.c_ubyte * pages)()
        if libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), resident) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    finally:
        os.close(descriptor)
    # The low bit says resident; the others are reserved.
    return sum(bytes(resident).translate(bytes(bit & 1 for bit in range(256)))), pages
