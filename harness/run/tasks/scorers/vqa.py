"""VQA accuracy (VQAv2, TextVQA): the share of annotators that an answer agrees with, up to a point.

Of the annotators, each in turn is set aside; the answer gets a third for each of the others who
said the same, at most 1; the mean over all is the score. With ten annotators, k who agree give 0,
0.3, 0.6, 0.9 and, from four on, 1. It needs several: who is alone agrees with nobody.

Answers are compared after the processing of the VQA and EvalAI code, with its oddities: a mark is
deleted everywhere if it stands next to a space anywhere, else it becomes a space ("7-up" is "7
up"); one comma between two digits deletes all marks; "none" is "0"; a point before a digit stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean

_ENOUGH = 3
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGITS_WITH_COMMA = re.compile(r"(?<=\d),+(?=\d)")
_POINT = re.compile(r"\.(?!\d)")
_POINTS_AT_MOST = 32  # their code hands re.sub a flag where it takes a count; the flag is 32
_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {"none": "0"} | {word: str(at) for at, word in enumerate(_WORDS.split())}
_ARTICLES = ("a", "an", "the")

# Each is also what a form of it with one apostrophe left out becomes.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_CONTRACTIONS = {"somebody'd": "somebodyd"} | {
    whole[:at] + whole[at + 1 :]: whole
    for whole in _CONTRACTED.split()
    for at, letter in enumerate(whole)
    if letter == "'"
}


def _accuracy(answer: str, references: Sequence[str], process: Callable[[str], str]) -> float:
    given = process(answer)
    same = [process(reference) == given for reference in references]
    if not same:
        return 0.0
    return fmean(min(1.0, (sum(same) - one) / _ENOUGH) for one in same)


def _spoken(text: str, points_at_most: int = 0) -> str:
    """As EvalAI does it for TextVQA: in lower case, with possessives apart, then as for VQAv2."""
    lowered = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return _written(lowered, points_at_most)


def _written(text: str, points_at_most: int = 0) -> str:
    """As the VQA code does it. `points_at_most` 0: all of them."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    with_comma = _DIGITS_WITH_COMMA.search(text) is not None
    out = text
    for mark in _MARKS:
        deleted = with_comma or f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if deleted else " ")
    out = _POINT.sub("", out, count=points_at_most)
    words = (_NUMBERS.get(word, word) for word in out.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def canonical(answer: str, references: Sequence[str]) -> float:
    return _accuracy(answer, references, _spoken)


def lmms_eval_textvqa(answer: str, references: Sequence[str]) -> float:
    """As canonical, but the 33rd and later points stay."""
    return _accuracy(answer, references, lambda text: _spoken(text, _POINTS_AT_MOST))


def lmms_eval_vqav2(answer: str, references: Sequence[str]) -> float:
    """The same, without lower case before marks are looked at and with possessives as they are."""
    return _accuracy(answer, references, lambda text: _written(text, _POINTS_AT_MOST))


RULES = {
    "canonical": canonical,
    "lmms-eval textvqa": lmms_eval_textvqa,
    "lmms-eval vqav2": lmms_eval_vqav2,
}
