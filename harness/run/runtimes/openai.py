"""A server that speaks OpenAI's chat protocol over HTTP: llama-server, Ollama, a hosted model, ..

Asked greedily (temperature 0) and with nothing else that could be left out: some hosts refuse what
they do not know, a seed among it. To a server on this machine goes one more word, which llama.cpp's
servers know and others pass over: no penalty on repetition, which would make it another answer.

Redirects are not followed, proxies and .netrc not asked, certificates verified, replies read up to
a bound. Does not guarantee that the server does what it is asked to, that its model is the one it
is said to be, or that it answers alike twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from harness.run.endpoint import BASE, KEY, Endpoint, from_environment, without_path
from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.chat import Said, ServerGone

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 900.0
_REPLY_BYTES = 4 << 20
_BUSY = (429, 503)
_TRIES, _LONGEST_WAIT, _STEP = 6, 120.0, 10.0
"""A server that is busy is asked again so often, and is waited for no longer than that, seconds."""
_WORDS, _SECRET = 200, 12
"""Characters: the most of what a server says of an error; the fewest of what is a secret."""
_ENDS = {"stop": "end", "tool_calls": "end", "length": "length"}
_HELP = {
    401: f"it refuses the key: check {KEY}",
    403: f"it refuses the key for this: check {KEY}",
    404: f"no such address or model there; {BASE} must end where /chat/completions follows",
}


class OpenAi:
    """One model at the server that the environment names. Implements `runtimes.chat.Chat`."""

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint or from_environment()
        key = self._endpoint.key
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,
        )
        self._shows_tools: bool | None = None

    def listed(self) -> list[str]:
        """The models that the server says it has."""
        found = self._json(self._exchange("GET", "/models")).get("data")
        if not isinstance(found, list):
            raise ServerGone("the server lists no models")
        return [one["id"] for one in found if isinstance(one, dict) and _is_name(one.get("id"))]

    def load(self, name: str, alive: Callable[[], None] = lambda: None) -> None:
        self._name, self._alive = name, alive

    def reply(
        self,
        messages: Sequence[dict[str, Any]],
        max_new_tokens: int,
        *,
        tools: list[dict[str, Any]] | None = None,
        stop: Sequence[str] = (),
    ) -> Said:
        body = self._body(messages, max_new_tokens, tools, stop)
        said = self._said(body, bool(stop))
        if tools and self._shows_tools is None:
            without = self._said(self._body(messages, 1, None, ()), False).prompt_tokens
            self._shows_tools = None in (without, said.prompt_tokens) or (
                said.prompt_tokens != without
            )
        if tools and not self._shows_tools:
            raise ArtifactRefused("the server shows the model no tools: its prompt is as without")
        return said

    def _body(
        self,
        messages: Sequence[dict[str, Any]],
        max_new_tokens: int,
        tools: list[dict[str, Any]] | None,
        stop: Sequence[str],
    ) -> dict[str, Any]:
        return {
            "model": self._name,
            "messages": list(messages),
            "max_tokens": max_new_tokens,
            "temperature": 0,
            **({"repeat_penalty": 1.0} if self._endpoint.loopback else {}),
            **({"tools": tools} if tools else {}),
            **({"stop": list(stop)} if stop else {}),
        }

    def _said(self, body: dict[str, Any], may_stop: bool) -> Said:
        sent = json.dumps(body).encode()
        reply = self._json(self._exchange("POST", "/chat/completions", sent))
        try:
            choice = reply["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text = _text(message)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ArtifactRefused("the reply is no answer in OpenAI's form") from error
        usage = reply.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        # With texts to stop at, "stop" is either; a server does not say which.
        ended = None if may_stop and finish == "stop" else _ENDS.get(str(finish))
        return Said(
            # A lone surrogate is no text that a file could hold.
            text=self._without_key(text).encode("utf-8", "replace").decode(),
            prompt_tokens=_count(counts.get("prompt_tokens")),
            new_tokens=_count(counts.get("completion_tokens")),
            stopped=ended,
            reply={
                "request_sha256": hashlib.sha256(sent).hexdigest(),
                "model": self._name_in(reply.get("model")),
                "system_fingerprint": self._name_in(reply.get("system_fingerprint")),
                "finish_reason": self._name_in(finish),
            },
        )

    def _name_in(self, value: Any) -> str | None:
        return self._clean(without_path(value)) if _is_name(value) else None

    def _json(self, raw: bytes) -> dict[str, Any]:
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ArtifactRefused("the reply is no JSON") from error
        if not isinstance(found, dict):
            raise ArtifactRefused("the reply is no JSON object")
        return found

    def _exchange(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One request, again while the server is busy. Raises ServerGone where others won't do
        better, ArtifactRefused where this one was wrong."""
        waited = 0.0
        for tried in range(1, _TRIES + 1):
            status, raw, after = self._once(method, path, body)
            if status == 200:
                return raw
            if status not in _BUSY:
                break
            wait = _seconds(after, 2.0**tried)
            waited += wait
            if tried == _TRIES or waited > _LONGEST_WAIT:
                words = f"status {status} {tried} times; it asks to wait {wait:.0f} s more"
                raise ServerGone(f"the server is busy: {words}")
            self._wait(wait)
        raise self._refusal(status, raw)

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes, str]:
        headers = {"Content-Type": "application/json"} if body else {}
        url = self._endpoint.base + path
        with (
            _told_apart(),
            self._client.stream(method, url, content=body, headers=headers) as got,
        ):
            raw = bytearray()
            for part in got.iter_bytes():
                raw += part
                if len(raw) > _REPLY_BYTES:
                    raise ArtifactRefused(f"a reply of more than {_REPLY_BYTES >> 20} MiB")
            return got.status_code, bytes(raw), got.headers.get("Retry-After", "")

    def _wait(self, seconds: float) -> None:
        """In steps: whoever waits for this worker hears that it lives."""
        while seconds > 0:
            time.sleep(min(seconds, _STEP))
            seconds -= _STEP
            self._alive()

    def _refusal(self, status: int, raw: bytes) -> ArtifactRefused:
        if status in _HELP:
            return ServerGone(f"the server answers with status {status}: {_HELP[status]}")
        if 300 <= status < 400:
            return ServerGone(f"the server sends elsewhere, which is not followed: change {BASE}")
        told = f"the server answers with status {status}: {self._clean(_complaint(raw))}"
        return ServerGone(told) if status >= 500 else ArtifactRefused(told)

    def _clean(self, text: str) -> str:
        """Fit for a record: without the key, without control characters, not too long."""
        text = self._without_key(text).encode("utf-8", "replace").decode()
        return re.sub(r"[^\S ]+|[\x00-\x1f\x7f-\x9f]", " ", text)[:_WORDS]

    def _without_key(self, text: str) -> str:
        """A key that a local server takes for form's sake may be a word, and stays."""
        key = self._endpoint.key
        return text.replace(key, "KEY") if len(key) >= _SECRET else text


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """What goes wrong on the way, without the words of the library: they name addresses."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ServerGone(f"no answer from the server within {_ANSWER_SECONDS:.0f} s") from error
    except httpx2.ConnectError as error:
        raise ServerGone(f"no server answers at {BASE}, or not with a valid certificate") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ServerGone(f"the exchange broke off: {type(error).__name__}") from error


def _text(message: dict[str, Any]) -> str:
    """What was said; calls that the server read out of it are written again in Hermes' tags."""
    content = message.get("content") or ""
    if isinstance(content, list):  # parts, of which some are no text
        content = "".join(str(part["text"]) for part in content if part.get("type") == "text")
    calls = [_call(one["function"]) for one in message.get("tool_calls") or []]
    return "\n".join(one for one in (str(content), *calls) if one)


def _call(function: dict[str, Any]) -> str:
    """Arguments as they are: what is no JSON stays so, and is unparseable."""
    given = function["arguments"]
    arguments = given if isinstance(given, str) else json.dumps(given)
    name = json.dumps(function["name"])
    return f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'


def _complaint(raw: bytes) -> str:
    """What an error says in OpenAI's form, or the beginning of whatever it is."""
    text = raw[: 1 << 16].decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
        return str(json.loads(text)["error"]["message"])
    return text


def _seconds(after: str, otherwise: float) -> float:
    """A Retry-After, in seconds or as a date."""
    if after.strip().isdigit():
        return float(after)
    try:
        return max(0.0, (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return otherwise


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""
