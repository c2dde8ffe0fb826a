"""Where the runtime `openai` sends its requests: what OPENAI_BASE_URL and OPENAI_API_KEY say.

The key is sent to that address alone: never in the clear beyond this machine, and into no record,
no message and no command line. A worker has it from the environment, as the harness itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import urlsplit

from harness.errors import MissingError, UserError

BASE, KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
LOOPBACK, ELSEWHERE = "loopback", "another host"


@dataclass(frozen=True)
class Endpoint:
    """A server's address, without a slash at the end, and the key for it, "" for none."""

    base: str
    host: str
    key: str = field(repr=False)

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def place(self, public: Sequence[str]) -> str:
        """What a record may say of the address: the end of a name in `public`, or none at all.

        Any other name may tell whose server it is.
        """
        if self.loopback:
            return LOOPBACK
        return next((one for one in public if f".{self.host}".endswith(f".{one}")), ELSEWHERE)


def without_path(name: str) -> str:
    """The last part of a name that is a path on the server's disk: llama.cpp's servers name a model
    by its file, and where that lies is nobody's concern."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(name).is_absolute():
            return kind(name).name
    return name


def from_environment(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Raises MissingError where no address is given, UserError where it is none to send to."""
    base, key = environment.get(BASE, "").strip().rstrip("/"), environment.get(KEY, "").strip()
    if not base:
        example = "http://127.0.0.1:8080/v1 for a server on this machine"
        raise MissingError(f"openai: set {BASE} to the server's address, {example}")
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UserError(f"{BASE} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(f"{BASE} must begin with http:// or https:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise UserError(f"{BASE} may hold no user, password or question; a key goes into {KEY}")
    found = Endpoint(base, host, key)
    if key and parts.scheme == "http" and not found.loopback:
        raise UserError(f"{BASE}: a key is sent over https only; unset {KEY} or change the address")
    return found
