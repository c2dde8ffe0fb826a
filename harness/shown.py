"""A metric's value as text: what a reader sees of bytes, seconds, tokens and shares."""

from __future__ import annotations

Value = float | str | bool


def rate(value: Value) -> str:
    """Tokens per second."""
    return f"{float(value):.1f} tokens/s"


def seconds(value: Value) -> str:
    """Milliseconds below one second."""
    taken = float(value)
    return f"{taken * 1000:.1f} ms" if taken < 1 else f"{taken:.2f} s"


def size(value: Value) -> str:
    """In the largest binary unit that leaves a digit before the point."""
    left = float(value)
    for unit in ("B", "KiB", "MiB"):
        if left < 1024:
            return f"{left:.0f} B" if unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    return f"{left:.2f} GiB"


def count(value: Value) -> str:
    """In millions and billions."""
    number = float(value)
    if number >= 1e9:
        return f"{number / 1e9:.3f} billion"
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{number:.0f}"


def tokens(value: Value) -> str:
    """Whole tokens."""
    return f"{int(float(value)):,} tokens"


def share(value: Value) -> str:
    """A share of one, in percent."""
    return f"{float(value) * 100:.1f}%"


def points(value: Value) -> str:
    """A difference of two shares, in points of a hundred."""
    return f"{float(value) * 100:+.1f} points"


def ratio(value: Value) -> str:
    """How many times."""
    return f"{float(value):.3f} times"


def perplexity(value: Value) -> str:
    """Of no unit, to two decimals."""
    return f"{float(value):.2f}"


def plain(value: Value) -> str:
    """Names and yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
