"""What a worker is told and how it answers: one JSON request on stdin, JSON lines on a pipe.

Kept free of pydantic and of every runtime: what the worker imports is part of what is measured.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

Option = bool | int | str


@dataclass(frozen=True)
class Settings:
    """What a runtime is asked for. The runtime is asked back for each of these.

    `options` are the runtime's own; its line in RUNTIMES names them.
    """

    device: str
    threads: int
    context: int
    options: dict[str, Option]

    def flat(self) -> dict[str, Option]:
        """All by name, the runtime's own among them."""
        common = {name: value for name, value in vars(self).items() if name != "options"}
        return common | self.options


@dataclass(frozen=True)
class Shape:
    """Prompt tokens, new tokens, how often one process repeats them, and the warm-up before.

    A warm-up of `warm_up` prompt tokens touches the memory that so long a prompt needs. A shorter
    one than the prompt leaves that to the first repeat, which matters the less the larger the
    model is.
    """

    prompt_tokens: int
    new_tokens: int
    repeats: int
    warm_up: int = 64


@dataclass(frozen=True)
class Request:
    """One worker's task. `runtime` and `workload` are `module:name`, resolved by the parent."""

    workload: str
    runtime: str | None = None
    artifact: str | None = None
    settings: Settings | None = None
    shape: Shape | None = None
    page_cache: str | None = None
    model: str | None = None
    page: str | None = None
    task: str | None = None
    task_data: str | None = None
    limit: int | None = None
    skip: tuple[str, ...] = ()
    """Items of the task that are on disk already."""
    alone: tuple[str, ...] = ()
    """Items that were under way when a worker ended: first these, one by one."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        data = json.loads(text)
        data["settings"] = Settings(**data["settings"]) if data["settings"] else None
        data["shape"] = Shape(**data["shape"]) if data["shape"] else None
        data |= {name: tuple(data[name]) for name in ("skip", "alone")}
        return cls(**data)

    def need_settings(self) -> Settings:
        if self.settings is None or self.artifact is None:
            raise ValueError(f"{self.workload} needs an artifact and settings")
        return self.settings

    def need_shape(self) -> Shape:
        if self.shape is None:
            raise ValueError(f"{self.workload} needs a shape")
        return self.shape


class Channel:
    """The worker's end of the pipe. Nothing is sent while anything is being timed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, kind: str, **content: Any) -> None:
        line = json.dumps({"event": kind, **content}).encode() + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]

    def phase(self, name: str) -> None:
        """Says that phase `name` begins, and waits until the parent has read the memory."""
        self.send("phase", name=name)
        if not sys.stdin.readline():
            raise SystemExit("the parent is gone")
