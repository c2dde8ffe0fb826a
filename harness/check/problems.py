"""What is wrong with a record, and how two JSON values differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True)
class Problem:
    """One complaint. `concern`: which of the checks found it; `field`: empty for the whole file."""

    record: str
    concern: str
    field: str
    what: str

    def __str__(self) -> str:
        where = f" {self.field}:" if self.field else ""
        return f"{self.record}: {self.concern}:{where} {self.what}"


def load(raw: bytes) -> Any:
    """JSON in which no key comes twice: readers differ in which of the two they take."""
    return _READER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' is given twice")
    return found


_READER = json.JSONDecoder(object_pairs_hook=_once)
"""Made once: of a million lines each would make its own."""


def complaints(error: Exception) -> list[tuple[str, str]]:
    """Field and message of everything a schema has to say."""
    if not isinstance(error, ValidationError):
        return [("", str(error))]
    return [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]


def differences(stored: Any, derived: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Each place where the two differ. 1, 1.0 and true are three values."""
    if isinstance(stored, dict) and isinstance(derived, dict):
        for name in [*derived, *(name for name in stored if name not in derived)]:
            below = f"{at}.{name}" if at else name
            if name not in stored or name not in derived:
                yield below, "missing" if name not in stored else "unknown"
            else:
                yield from differences(stored[name], derived[name], below)
    elif isinstance(stored, list) and isinstance(derived, list) and len(stored) == len(derived):
        for index, (one, other) in enumerate(zip(stored, derived, strict=True)):
            yield from differences(one, other, f"{at}.{index}")
    elif type(stored) is not type(derived) or stored != derived:
        yield at, f"{_short(stored)} stored, {_short(derived)} derived"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
