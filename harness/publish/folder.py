"""Puts a set of files in place of a folder, all at once.

A reader, or whoever comes after a `kill -9`, finds the old files or the new ones, never a mix.
Where the system cannot exchange two folders in one call (neither Linux nor macOS, or a file system
that refuses), two renames do it: a kill between them leaves the old one whole as `.<name>.old`.

Not guaranteed: two writers of one folder at a time; survival of a power cut (nothing is synced).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError

MANIFEST = "SHA256SUMS"
_LEFT_BY_DESKTOPS = {".DS_Store", "Thumbs.db"}


def replace(out: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """`out` holds exactly `files` and a list of their digests afterwards.

    Each is written before the next is asked for. Raises UserError where `out` holds anything that
    an earlier call did not write; where `files` raises, `out` is as before.
    """
    out = out.resolve()
    _refuse_strangers(out)
    new = out.parent / f".{out.name}.new"
    try:
        shutil.rmtree(new, ignore_errors=True)
        names = _write(new, files)
        _swap(new, out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{out}: cannot be written: {reason}; name another folder") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return [out / name for name in sorted(names)]


def _refuse_strangers(out: Path) -> None:
    """The whole folder goes away, so only one that is ours, or empty, may."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder")
    ours = {MANIFEST} if (out / MANIFEST).is_file() else set()
    if ours:
        lines = (out / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
        ours |= {line.partition("  ")[2] for line in lines}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        plain_folder = path.is_dir() and not path.is_symlink()
        if not plain_folder and name not in ours and path.name not in _LEFT_BY_DESKTOPS:
            raise UserError(
                f"{out}: holds {name}, which publish did not write; name an empty folder"
            )


def _write(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[str]:
    """The files and their digests, in a new folder; answers with their names."""
    folder.mkdir(parents=True)
    digests: dict[str, str] = {}
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    lines = [f"{digests[name]}  {name}\n" for name in sorted(digests)]
    (folder / MANIFEST).write_text("".join(lines), encoding="utf-8")
    return [*digests, MANIFEST]


def _swap(new: Path, out: Path) -> None:
    old = out.parent / f".{out.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if not out.exists():
        new.rename(out)
    elif _exchange(new, out):
        shutil.rmtree(new, ignore_errors=True)
    else:
        out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Two folders trade names in one system call; False where that cannot be had."""
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform not in ("linux", "darwin"):
        return False
    libc = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        return bool(libc.renameat2(here, paths[0], here, paths[1], exchange) == 0)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        swap = 2  # RENAME_SWAP
        return bool(libc.renamex_np(*paths, swap) == 0)
    return False
