"""A model hub on loopback: as much of the protocol as huggingface_hub's client uses to download.

Like the public one it keeps small files in git (their ETag is git's hash, they are served by a
redirect within the hub) and large ones elsewhere (a sha256, and a redirect to another host). It
notes each request and counts the bytes it sends, and it can fail in the ways that hubs do.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = "some-org/Tiny-1.5-GGUF"
COMMIT, LATER = "a" * 40, "b" * 40
MIB = 1 << 20
WEIGHTS = random.Random(1).randbytes(MIB)
FOLDER = {
    "config.json": b'{"hidden_size": 64}',
    "tokenizer.json": b"{}",
    "onnx/model.onnx": random.Random(2).randbytes(300_000),
    "onnx/model.onnx_data": random.Random(3).randbytes(500_000),
}
TOKEN = "hf_good"
_PIECE = 1 << 16
_NAME = "((?:datasets/)?[^/]+/[^/]+)"
LARGE = 1 << 16
"""From this size on, a file is served by the other host."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left(cache: Path) -> list[str]:
    """What lies in a cache, without locks and records."""
    found = [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(path.name for path in found if path.suffix != ".json")


@dataclass
class Repo:
    """`commits` by their 40 digits, each with its files; `branches` name commits."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False


@dataclass(frozen=True)
class Seen:
    """One request; `sent` are the bytes of its body that went out."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    sent: int


@dataclass
class Hub:
    """Two servers. What goes wrong is set on it while it runs."""

    repos: dict[str, Repo] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Statuses for the next requests of large files' bytes, in place of the bytes."""
    cut_after: list[int] = field(default_factory=list)
    """For the next requests of large files' bytes: how many go out before the line drops."""
    reset: bool = False
    """Drops it with a reset, in place of an end that comes too early."""
    spoil: bool = False
    """Files arrive with their first byte changed."""
    ranges: bool = True
    claimed_commit: str | None = None
    """Says that each file is of this commit, as a mirror might that ignores the one asked for."""
    hold: threading.Event | None = None
    """After half of a large file, waits for this."""
    holding: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Hub:
        self._servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, self))
            for handler in (_Front, _Storage)
        ]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.hold:
            self.hold.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def storage(self) -> str:
        """Another host, for the client: a token for the hub must not go there."""
        return f"http://localhost:{self._servers[1].server_port}"

    def sent(self, name: str = "") -> int:
        """The bytes of files that went out, or of those whose path ends so."""
        return sum(one.sent for one in self.seen if one.path.endswith(name) and one.status < 300)

    def got(self, name: str) -> list[Seen]:
        """The requests for a file's bytes that were answered with some."""
        return [
            one
            for one in self.seen
            if one.method == "GET" and one.path.endswith(name) and one.status in (200, 206)
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *arguments: Any) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the tests' output is theirs."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        raise NotImplementedError

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.sent = 0
        if self.command == "GET":
            with contextlib.suppress(OSError):  # the client may have gone
                self.stream(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = unquote(urlsplit(self.path).path)
        self.hub.seen.append(Seen(self.command, path, headers, status, self.sent))

    def stream(self, body: bytes) -> None:
        for start in range(0, len(body), _PIECE):
            self.wfile.write(body[start : start + _PIECE])
            self.sent += len(body[start : start + _PIECE])

    def spoilt(self, body: bytes) -> bytes:
        return bytes([body[0] ^ 1]) + body[1:] if self.hub.spoil else body

    def refuse(self, status: int, code: str, message: str) -> None:
        self.reply(status, {"X-Error-Code": code, "X-Error-Message": message})


class _Front(_Handler):
    """The hub itself: who may read what, at which commit, and where its bytes are."""

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if cached := re.fullmatch(rf"/api/resolve-cache/models/{_NAME}/([^/]+)/(.+)", path):
            self._small(*cached.groups())
        elif asked := re.fullmatch(rf"/{_NAME}/resolve/([^/]+)/(.+)", path):
            self._resolve(*asked.groups())
        else:
            self.refuse(404, "", "no such page")

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repo = self.hub.repos.get(name)
        token = self.headers.get("Authorization")
        if repo is None:
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif repo.gated and token != f"Bearer {TOKEN}":
            self.refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted")
        elif (commit := repo.branches.get(revision, revision)) not in repo.commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif file not in repo.commits[commit]:
            self.refuse(404, "EntryNotFound", "Entry not found")
        elif len(repo.commits[commit][file]) < LARGE:
            place = f"/api/resolve-cache/models/{name}/{commit}/{file}"
            self.reply(307, {"Location": place, "X-Repo-Commit": commit})
        else:
            self._large(commit, file, repo.commits[commit][file])

    def _large(self, commit: str, file: str, body: bytes) -> None:
        digest = sha256(body)
        headers = {
            "X-Repo-Commit": self.hub.claimed_commit or commit,
            "X-Linked-Size": str(len(body)),
            "X-Linked-Etag": f'"{digest}"',
            # As of a hub with xet: the client may take that way, or this one.
            "X-Xet-Hash": digest,
            "Link": f'<{self.hub.url}/api/xet>; rel="xet-auth"',
            "Location": f"{self.hub.storage}/{digest}/{file}?Signature=secret",
        }
        self.reply(302, headers)

    def _small(self, name: str, commit: str, file: str) -> None:
        body = self.hub.repos[name].commits[commit][file]
        blob = hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()
        headers = {"X-Repo-Commit": self.hub.claimed_commit or commit, "ETag": f'"{blob}"'}
        self.reply(200, headers, self.spoilt(body))


class _Storage(_Handler):
    """Where the bytes of large files are."""

    def answer(self) -> None:
        hub = self.hub
        digest = self.path.split("/")[1]
        commits = [commit for repo in hub.repos.values() for commit in repo.commits.values()]
        files = [file for commit in commits for file in commit.values()]
        body = next(file for file in files if sha256(file) == digest)
        if hub.statuses and (status := hub.statuses.pop(0)) != 200:
            self.reply(status, {})
            return
        body = self.spoilt(body)
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if hub.ranges else None
        if start:
            first = int(start[1])
            headers = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}
            self.reply(206, headers, body[first:])
        else:
            self.reply(200, {}, body)

    def stream(self, body: bytes) -> None:
        hub = self.hub
        if hub.cut_after:
            body = body[: hub.cut_after.pop(0)]
            self.close_connection = True
        half = len(body) // 2 if hub.hold else 0
        super().stream(body[:half])
        if hub.hold:
            hub.holding.set()
            hub.hold.wait(60)
        super().stream(body[half:])
        if self.close_connection and hub.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())  # at once: the server would first say goodbye
