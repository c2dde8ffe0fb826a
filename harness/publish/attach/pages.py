"""A page as a file: which kind it is, in which encoding, and the way back to the same bytes."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from harness.ask.claims import Claim
from harness.errors import BadFile
from harness.publish.attach import html_page, json_page
from harness.publish.attach.fragments import Fragments
from harness.publish.attach.splice import Report

_KINDS = {
    ".html": html_page.attach,
    ".htm": html_page.attach,
    ".json": json_page.attach,
}
_CHARSET = re.compile(rb"""<meta[^>]*\bcharset\s*=\s*["']?\s*([\w:.-]+)""", re.IGNORECASE)
_DECLARED_WITHIN = 1024
"""Browsers look no further."""
_ENCODINGS = dict.fromkeys(("utf-8", "utf8"), "utf-8") | dict.fromkeys(
    ("windows-1252", "cp1252", "iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"
)
"""By the name on the page, as browsers take it: Latin 1 is Windows 1252 to them."""


def attach(path: Path, claims: Sequence[Claim], fragments: Fragments) -> tuple[bytes, Report]:
    """The page at `path` with evidence on those of `claims` that it makes; `path` is only read.

    Raises BadFile where the page cannot be read or has no place for evidence.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise BadFile(f"{path}: neither .html nor .json")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    body = raw.removeprefix(mark)
    encoding = "utf-8" if mark or kind is json_page.attach else _declared(path, body)
    try:
        source = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadFile(
            f"{path}: not {encoding} text (byte {error.start}); save it as UTF-8"
        ) from error
    text, report = kind(source, path.name, claims, fragments)
    return mark + text.encode(encoding), report


def _declared(path: Path, body: bytes) -> str:
    """The encoding that the page names. Those in which our ASCII is not ASCII are refused."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadFile(f"{path}: UTF-16; save it as UTF-8")
    found = _CHARSET.search(body[:_DECLARED_WITHIN])
    name = found[1].decode("ascii", "replace").lower() if found else "utf-8"
    if name not in _ENCODINGS:
        raise BadFile(f"{path}: declares the encoding {name}; save it as UTF-8")
    return _ENCODINGS[name]
