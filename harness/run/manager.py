"""Runs one worker process and hands on what it says. However it ends, the harness goes on."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

from harness.errors import MissingError, WorkerError
from harness.run.limit import Cap
from harness.run.machine import scrub
from harness.run.protocol import Request
from harness.run.watch import Watch

_ALLOCATION_FAILED = (
    "failed to allocate",
    "unable to allocate",
    "std::bad_alloc",
    "MemoryError",
    "out of memory",
    "not enough memory",
    "Cannot allocate memory",
    "Memory allocation still failed",  # OpenBLAS
    "pthread_create failed",  # no room for a stack; OpenBLAS then raises SIGINT
    "failed to map segment from shared object",
)
_DETAIL_CHARACTERS = 400
_WORDS_BYTES = 1 << 16
_EVENT_BYTES = 4 << 20
_GRACE_SECONDS = 10.0


@dataclass
class Worker:
    """One worker. Iterate over `events()`; `phases` and `sampler` fill up if it is watched.

    `silence` is how many seconds may pass without an event before it counts as hung.
    """

    request: Request
    silence: float
    watched: bool = False
    cap: Cap | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    sampler: dict[str, Any] | None = None

    def events(self) -> Generator[dict[str, Any], None, None]:
        """What the worker says, up to its end. Raises WorkerError with the cause.

        And MissingError where a server that it asks is gone: that is no fault of a sample.
        """
        reader, writer = os.pipe()
        with tempfile.TemporaryFile() as log:
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, reader)
                if self.cap:
                    stack.enter_context(self.cap)
                process = self._spawn(writer, log)
                os.close(writer)
                stack.callback(_kill, process)
                watch = Watch(process.pid) if self.watched else None
                if watch:
                    stack.callback(self._keep, watch)
                error: WorkerError | None = None
                try:
                    yield from self._listen(process, reader, watch)
                except WorkerError as caught:
                    error = caught
                if error is None or not error.detail:
                    _let_end(process)
            if error:
                raise self._explain(error, process, log)

    def _keep(self, watch: Watch) -> None:
        self.phases, self.sampler = watch.finish()

    def _spawn(self, writer: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "harness.run.worker", str(writer), str(os.getpid())]
        if self.cap:
            command = self.cap.command(command)
        # A session of its own: Ctrl-C reaches the harness, which then ends the worker.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=True,
        )

    def _listen(
        self, process: subprocess.Popen[bytes], reader: int, watch: Watch | None
    ) -> Iterator[dict[str, Any]]:
        _tell(process, self.request.to_json())
        for event in _lines(reader, self.silence):
            if event["event"] == "end":
                return
            if event["event"] == "phase":
                if watch:
                    watch.enter(None if event["name"] == "end" else event["name"])
                _tell(process, "go")
            elif event["event"] == "gone":
                raise MissingError(f"{scrub(event['detail'])}; the same command goes on")
            elif event["event"] != "alive":  # that was heard, which is all that it is for
                yield event
        raise WorkerError("crashed", "")

    def _explain(
        self, error: WorkerError, process: subprocess.Popen[bytes], log: IO[bytes]
    ) -> WorkerError:
        """The cause of a worker's end, from its exit status, the cap and its last words."""
        if error.detail:
            return error
        words, how = _last_words(log), _how(process.returncode)
        if self.cap and (self.cap.hit or any(sign in words for sign in _ALLOCATION_FAILED)):
            return WorkerError("out_of_memory", f"{how} under {self.cap.method}")
        _, refused, reason = words.rpartition("ArtifactRefused:")
        if refused:
            return WorkerError("bad_artifact", reason.strip()[:_DETAIL_CHARACTERS])
        return WorkerError("crashed", f"{how}; {words[-_DETAIL_CHARACTERS:]}" if words else how)


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    stdin = cast(IO[bytes], process.stdin)
    with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed where it is listened to
        stdin.write(line.encode() + b"\n")
        stdin.flush()


def _lines(reader: int, silence: float) -> Iterator[dict[str, Any]]:
    """Events from the pipe until it closes. Raises WorkerError with a detail: the worker lives."""
    rest = b""
    while True:
        ready, _, _ = select.select([reader], [], [], silence)
        if not ready:
            raise WorkerError("timeout", f"no word for {silence:.0f} s")
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _event(line)
        if len(rest) > _EVENT_BYTES:
            raise WorkerError("crashed", f"an event without an end after {_EVENT_BYTES} bytes")


def _event(line: bytes) -> dict[str, Any]:
    """One event. Native code in the worker can write anything to any descriptor."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict) or "event" not in event:
        raise WorkerError("crashed", "wrote to the pipe what is no event")
    return event


def _last_words(log: IO[bytes]) -> str:
    """The end of what the worker printed, fit to be published."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - _WORDS_BYTES))
    return scrub(log.read().decode("utf-8", "replace").strip())


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:  # most real-time signals have no name
        return f"signal {-status}"


def _let_end(process: subprocess.Popen[bytes]) -> None:
    """Waits while a worker that said its last word frees its memory, or a dying one dies."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(OSError):
        cast(IO[bytes], process.stdin).close()
