"""Servers on loopback: one that answers as a test tells it to, and llama-cpp-python's own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "told"


@dataclass
class Reply:
    """What is sent back. `seconds`: after so long."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def says(text: str | None, **more: Any) -> Reply:
    """An answer in OpenAI's form; what `more` names of message, choice and reply is as it says."""
    message = {"role": "assistant", "content": text} | more.pop("message", {})
    choice = {"index": 0, "finish_reason": more.pop("finish_reason", "stop"), "message": message}
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    reply = {"model": MODEL, "choices": [choice], "usage": usage} | more
    return Reply(body=json.dumps(reply).encode())


class Told(ThreadingHTTPServer):
    """Gives the next of `replies` to each question, the last one for ever; keeps what it got."""

    daemon_threads = True

    def __init__(self, *replies: Reply, listed: tuple[str, ...] = (MODEL,)) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies, self.listed = list(replies), listed
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    server: Told

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        listed = {"data": [{"id": name} for name in self.server.listed]}
        self._send(Reply(body=json.dumps(listed).encode()))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body))
        self.server.headers.append(dict(self.headers))
        self._send(self.server.next())

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.seconds)
        with contextlib.suppress(OSError):  # whoever asked may have gone
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def told(*replies: Reply, listed: tuple[str, ...] = (MODEL,)) -> Iterator[Told]:
    server = Told(*replies, listed=listed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def llama_cpp_server(model: Path, context: int) -> Iterator[str]:
    """llama-cpp-python's OpenAI server, with its own defaults; its base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    given = {"model": model, "n_ctx": context, "n_threads": 1, "n_threads_batch": 1}
    given |= {"flash_attn": True, "host": "127.0.0.1", "port": port}
    command = [sys.executable, "-m", "llama_cpp.server"]
    command += [part for name, value in given.items() for part in (f"--{name}", str(value))]
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(started, port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            started.kill()
            started.wait()


def _wait(started: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if started.poll() is not None:
            raise AssertionError(f"llama.cpp's server: exit status {started.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError("llama.cpp's server does not listen")
