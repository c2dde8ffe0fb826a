"""How long an answer is, in words, sentences and paragraphs.

Sentences are counted by a rule of our own. The original asks a model of English that nltk downloads
when it is first used; where the two differ, and how often, is in docs/ifeval.md.
"""

from __future__ import annotations

import re

from harness.run.tasks.ifeval.arguments import Checker, enough

_END = re.compile(r"""(?<![.!?])[.!?]++["'”’)\]*]*+(?=\s|$)""")
_ABBREVIATIONS = {
    *("mr", "mrs", "ms", "dr", "prof", "rev", "hon", "st", "jr", "sr", "gen", "col", "capt", "sgt"),
    *("inc", "ltd", "co", "corp", "no", "vol", "fig", "vs", "e.g", "i.e", "a.m", "p.m", "u.s"),
}
"""After which a full stop ends no sentence, unless the text ends there."""


def number_words(text: str, *, num_words: int, relation: str) -> bool:
    """A word is a run of letters, digits and underscores: "don't" is two."""
    return enough(len(re.findall(r"\w+", text)), relation, num_words)


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
    return enough(sentences(text), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Parts between three asterisks; empty ones are allowed at either end only."""
    parts = [bool(part.strip()) for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and sum(parts) == num_paragraphs


def nth_paragraph_first_word(
    text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """Paragraphs are parted by an empty line. Empty ones are not counted, but keep their number."""
    parts = text.split("\n\n")
    if sum(1 for part in parts if part.strip()) != num_paragraphs:
        return False
    if not 1 <= nth_paragraph <= num_paragraphs:
        return False
    words = parts[nth_paragraph - 1].split()
    return bool(words) and _bare(words[0]) == first_word.lower()


def sentences(text: str) -> int:
    """Ends in ".", "!" or "?" before white space; what follows the last of them is one more.

    No end: the full stop of an abbreviation, of an initial, of a number that begins a line, or one
    after which the text goes on in lower case.
    """
    count, rest = 0, 0
    for found in _END.finditer(text):
        if _ends(text, found):
            count, rest = count + 1, found.end()
    return count + bool(text[rest:].strip())


def _ends(text: str, found: re.Match[str]) -> bool:
    after = text[found.end() :].lstrip()
    if not found[0].startswith(".") or not after:
        return True
    before = text[: found.start()].rsplit(None, 1)
    word = before[-1].lstrip("\"'“‘(*[") if before else ""
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()].strip()
    numbered = line.isdecimal()
    initial = len(word) == 1 and word.isupper() and word != "I"
    abbreviated = word.lower() in _ABBREVIATIONS
    return not (numbered or initial or abbreviated or after[0].islower())


def _bare(word: str) -> str:
    """Without quotes before it and anything from the first mark on."""
    return re.split(r"""[.,?!'"]""", word.lstrip("'").lstrip('"'), maxsplit=1)[0].lower()


CHECKERS: dict[str, Checker] = {
    "length_constraints:number_words": number_words,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
}
