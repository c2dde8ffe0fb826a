"""Multiple choice (MMStar, AI2D, RealWorldQA): which letter of A to D did the answer settle on?

Looked for in this order; the first that is found decides:

1. the answer begins with a letter, with a mark, a line end or nothing after it: "(B)", "B. two"
2. the last "answer is B", "answer: (B)", "option B", "choice B" or "I choose B"
3. the last line is a letter alone
4. a bracketed letter, "(B)", if the answer brackets no other one

A letter in a sentence, such as the article in "A dog is seen", is no choice; nor is a lower-case
one. Where the reference is no letter of A to D, the texts must be equal but for case and a final
point.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_LETTERS = "ABCD"
_ALONE = re.compile(r"[\s\"'*(\[]*([A-D])(?:[\s\"'*)\].,:;!?]*$|[)\].:;*]|\s*\n)")
_SAID = re.compile(
    r"\b(?i:(?:answer|option|choice)(?:\s+is)?|i\s+(?:choose|pick|select))\s*:?"
    r"[\s*(\"'\[]*([A-D])(?![A-Za-z'])"
)
_LAST_LINE = re.compile(r"\n[\s\"'*(\[]*([A-D])[\s\"'*)\].]*$")
_BRACKETED = re.compile(r"\(([A-D])\)")


def letter(answer: str) -> str | None:
    """The letter that the answer settles on, or None."""
    if found := _ALONE.match(answer):
        return found[1]
    if said := _SAID.findall(answer):
        return str(said[-1])
    if found := _LAST_LINE.search(answer):
        return found[1]
    bracketed = set(_BRACKETED.findall(answer))
    return bracketed.pop() if len(bracketed) == 1 else None


def canonical(answer: str, references: Sequence[str]) -> float:
    return float(any(_right(answer, one.strip()) for one in references))


def _right(answer: str, reference: str) -> bool:
    if reference.upper() in tuple(_LETTERS):
        return letter(answer) == reference.upper()
    return answer.strip().rstrip(".").lower() == reference.rstrip(".").lower()


# How lmms-eval ranks the places where a letter may stand; of one rank the later place wins.
_RANKS = {"start": 10, "end": 9, "phrase": 7, "({})": 6, "{}.": 5, "{}:": 4, "{})": 3, "{} ": 2}
_PHRASES = (
    "answer is", "option is", "choice is", "i choose", "i select", "i pick", "옵션", "정답은",
    "답은", "답:", "答案是", "答案为", "选", "答えは",
)  # fmt: skip


def letter_by_lmms_eval(answer: str) -> str:
    """lmms-eval's choice: any capital letter A to D serves, if none stands in a better place."""
    text = answer.strip()
    for mark in ",.!?;:'\"":
        text = text.strip(mark)
    text = f" {text} "
    found = [(_RANKS[rank], place, one) for rank, place, one in _places(text)]
    found = found or [(0, text.rfind(one), one) for one in _LETTERS if one in text]
    # Of equals the earlier letter wins, so letters count backwards.
    return max(found, key=lambda each: (each[0], each[1], -ord(each[2])))[2] if found else ""


def _places(text: str) -> list[tuple[str, int, str]]:
    inner, lowered, places = text.strip(), text.lower(), []
    for one in _LETTERS:
        for rank in ("({})", "{}.", "{}:", "{})", "{} "):
            if rank.format(one) in text:
                places.append((rank, text.rfind(rank.format(one)), one))
        for phrase in _PHRASES:
            at = lowered.find(phrase)
            if at >= 0 and (place := text.find(one, at + len(phrase))) >= 0:
                places.append(("phrase", place, one))
        if inner.startswith(one) and not inner[1:2].isalpha():
            places.append(("start", 0, one))
        if inner.endswith(one) and not inner[-2:-1].isalpha():
            places.append(("end", len(text) - 1, one))
    return places


def lmms_eval(answer: str, references: Sequence[str]) -> float:
    """As its tasks mmstar and realworldqa do it."""
    return float(any(_right_by_lmms_eval(answer, one.strip()) for one in references))


def _right_by_lmms_eval(answer: str, reference: str) -> bool:
    if reference.upper() in tuple(_LETTERS):
        return letter_by_lmms_eval(answer) == reference.upper()
    return answer.lower().strip().rstrip(".") == reference.lower()


RULES = {"canonical": canonical, "lmms-eval": lmms_eval}
