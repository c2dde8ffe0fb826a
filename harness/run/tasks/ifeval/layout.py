"""The form of an answer: lists, highlights, sections, a title, JSON, one of three sentences."""

from __future__ import annotations

import json
import re

from harness.run.tasks.ifeval.arguments import Checker

_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    """Exactly so many lines that begin with one asterisk or with a hyphen."""
    starred = re.findall(r"^[^\S\n]*\*[^\*].*$", text, re.MULTILINE)
    return len(starred) + len(re.findall(r"^[^\S\n]*-", text, re.MULTILINE)) == num_bullets


def constrained_response(text: str) -> bool:
    return any(option in text for option in _OPTIONS)


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    """Texts between asterisks; between two on each side counts again."""
    single = re.findall(r"\*([^\n\*]*)\*", text)
    double = re.findall(r"\*\*([^\n\*]*)\*\*", text)
    return sum(1 for one in (*single, *double) if one.strip()) >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """The word before a number, so often or more."""
    mark = rf"{re.escape(section_spliter.strip())}\s?\d+"
    return len(re.findall(mark, text)) >= num_sections


def json_format(text: str) -> bool:
    """JSON and nothing else, a code fence aside."""
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A text between the first double brackets "<<" and the last ">>" of one line."""
    return any(
        opened and closed and inner.lstrip("<").rstrip(">").strip()
        for line in text.split("\n")
        for _, opened, rest in [line.partition("<<")]
        for inner, closed, _ in [rest.rpartition(">>")]
    )


CHECKERS: dict[str, Checker] = {
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
}
