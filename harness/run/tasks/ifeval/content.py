"""Things that an answer must hold: placeholders, a postscript."""

from __future__ import annotations

import re

from harness.run.tasks.ifeval.arguments import Checker


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """Square brackets, opened and closed in one line."""
    closed = (part for line in text.split("\n") for part in line.split("]")[:-1])
    return sum("[" in part for part in closed) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """The marker anywhere, in any case. In the two usual ones blanks between the letters count."""
    marker = postscript_marker.strip()
    return re.search(_USUAL.get(marker, re.escape(marker.lower())), text.lower()) is not None


_USUAL = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}

CHECKERS: dict[str, Checker] = {
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
}
