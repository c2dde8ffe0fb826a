"""What the whole of an answer is made of: its parts, its beginning, its end, marks it lacks."""

from __future__ import annotations

from harness.run.tasks.ifeval.arguments import Checker


def two_responses(text: str) -> bool:
    """Two that differ, parted by six asterisks; empty parts are allowed at either end only."""
    parts = [part.strip() for part in text.split("*" * 6)]
    said = [part for part in parts if part]
    return all(parts[1:-1]) and len(said) == 2 and said[0] != said[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, *, end_phrase: str) -> bool:
    """Quotes around the answer are none of it."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(text: str) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def no_comma(text: str) -> bool:
    return "," not in text


CHECKERS: dict[str, Checker] = {
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "punctuation:no_comma": no_comma,
}
