"""Puts an artifact's pages out of the page cache or into it, and asks how many are there.

Linux only. Eviction is a request (posix_fadvise(2)): dirty or mapped pages stay. So it is checked.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

_CHUNK = 8 << 20


def evict(path: Path) -> None:
    """Asks the kernel to drop the file's pages."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def read_in(path: Path) -> None:
    """Reads the file once, so that its pages are in the cache if there is room."""
    with path.open("rb", buffering=0) as file:
        while file.read(_CHUNK):
            continue


def cached_share(path: Path) -> float:
    """Share of the file's pages in the page cache (mincore(2)), 0 to 1. Nothing is read."""
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
    return sum(bytes(resident).translate(bytes(bit & 1 for bit in range(256)))) / pages
