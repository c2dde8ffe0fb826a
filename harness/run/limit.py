"""Caps a worker's memory: cgroup v2, else cgroup v1, else RLIMIT_DATA.

The worker joins the cap through a shell that then becomes the worker (exec), so that its first
byte counts. RLIMIT_DATA covers anonymous memory only; the record says so.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from pathlib import Path
from typing import Any, Literal

_CGROUP = Path("/sys/fs/cgroup")


class Cap:
    """A memory cap for one worker. Use as a context manager; `hit` answers after the worker ended.

    `hit` is None where the mechanism doesn't count its kills (RLIMIT_DATA).
    """

    method: Literal["cgroup v2", "cgroup v1", "RLIMIT_DATA"] = "RLIMIT_DATA"
    covers = "anonymous memory (private writable mappings)"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.hit: bool | None = None

    def __enter__(self) -> Cap:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def record(self) -> dict[str, Any]:
        """As `harness.run.records.Limit`."""
        return {"bytes": self.limit, "method": self.method, "covers": self.covers}

    def command(self, command: list[str]) -> list[str]:
        """`command`, run under the cap."""
        return _shell(f"ulimit -d {self.limit // 1024}", command)


class _Group(Cap):
    covers = "all memory charged to the group: anonymous, mapped files, page cache"
    limits: dict[str, str]
    kills: tuple[str, str]
    """The file that counts kills, and the name of its counter."""

    def __init__(self, limit: int, parent: Path) -> None:
        super().__init__(limit)
        self._group = parent / f"claimbench-{os.getpid()}-{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> Cap:
        for group in self._group.parent.glob("claimbench-*-*"):
            # Left by a harness that was killed. A living one's may wait for its worker, empty.
            if not Path("/proc", group.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    group.rmdir()
        self._group.mkdir()
        for name, value in self.limits.items():
            # Without swap accounting the second file is absent; the record's machine has no swap.
            if (self._group / name).exists():
                (self._group / name).write_text(value.format(limit=self.limit))
        return self

    def __exit__(self, *_: object) -> None:
        file, counter = self.kills
        with contextlib.suppress(OSError):
            found = re.search(rf"^{counter} (\d+)", (self._group / file).read_text(), re.M)
            self.hit = bool(found and int(found[1]))
        for _attempt in range(100):  # the kernel needs a moment to empty the group
            with contextlib.suppress(OSError):
                self._group.rmdir()
                return
            time.sleep(0.02)

    def command(self, command: list[str]) -> list[str]:
        return _shell(f"echo $$ > '{self._group}/cgroup.procs'", command)


class _V2(_Group):
    method = "cgroup v2"
    limits = {"memory.max": "{limit}", "memory.swap.max": "0"}
    kills = ("memory.events", "oom_kill")


class _V1(_Group):
    method = "cgroup v1"
    limits = {"memory.limit_in_bytes": "{limit}", "memory.memsw.limit_in_bytes": "{limit}"}
    kills = ("memory.oom_control", "oom_kill")


def cap(limit: int) -> Cap:
    """The strongest cap of `limit` bytes that this machine lets us set."""
    own = Path("/proc/self/cgroup").read_text() if Path("/proc/self/cgroup").exists() else ""
    v2, v1 = _writable_v2(own), _writable_v1(own)
    if v2:
        return _V2(limit, v2)
    return _V1(limit, v1) if v1 else Cap(limit)


def _writable_v2(own: str, root: Path = _CGROUP) -> Path | None:
    """The nearest group above ours that hands memory control to its children and lets us in."""
    found = re.search(r"^0::/(.*)$", own, re.M)
    if not found:
        return None
    here = root / found[1]
    for group in (here, *here.parents):
        control = group / "cgroup.subtree_control"
        if control.is_file() and "memory" in control.read_text().split():
            return group if os.access(group, os.W_OK) else None
        if group == root:
            break
    return None


def _writable_v1(own: str, root: Path = _CGROUP) -> Path | None:
    found = re.search(r"^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:/(.*)$", own, re.M)
    if not found:
        return None
    # Inside a container our own path may not be mounted; the hierarchy's root then is ours.
    for group in (root / "memory" / found[1], root / "memory"):
        if (group / "memory.limit_in_bytes").is_file() and os.access(group, os.W_OK):
            return group
    return None


def _shell(join: str, command: list[str]) -> list[str]:
    return ["sh", "-c", f'{join} && exec "$@"', "sh", *command]
