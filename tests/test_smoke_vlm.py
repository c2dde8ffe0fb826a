"""The committed models/smoke-vlm: real weights that look at the image and answer."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "models" / "smoke-vlm"
sys.path.append(str(ROOT / "scripts"))

from smoke_vlm import exam, pictures  # noqa: E402

ASKED = 200
LEAST = 0.9
"""Of the 200 questions. The card has the share of the whole test split."""


@pytest.fixture(scope="module")
def candidate() -> exam.Candidate:
    return exam.Candidate(FOLDER)


@pytest.fixture(scope="module")
def sample() -> list[tuple[str, pictures.Asked]]:
    """The same questions each time, of the split that took no part in training."""
    test = pictures.split("test")
    every = zip(test.paths, test.asked, strict=True)
    pairs = [(path, one) for path, asked in every for one in asked]
    return random.Random(1).sample(pairs, ASKED)


def right(
    candidate: exam.Candidate,
    sample: list[tuple[str, pictures.Asked]],
    shown: Callable[[list[str]], list[str]],
) -> float:
    questions = [one for _, one in sample]
    said = candidate.answers(shown([path for path, _ in sample]), [one.text for one in questions])
    return sum(a == one.answer for a, one in zip(said, questions, strict=True)) / len(sample)


def test_it_answers(candidate: exam.Candidate, sample: list[tuple[str, pictures.Asked]]) -> None:
    assert right(candidate, sample, lambda paths: paths) >= LEAST


def test_it_looks(candidate: exam.Candidate, sample: list[tuple[str, pictures.Asked]]) -> None:
    """Asked about another image, it is wrong about as often as that image differs."""
    assert right(candidate, sample, lambda paths: paths[1:] + paths[:1]) < LEAST - 0.1


def test_weights_are_one_small_file_without_code() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if name.endswith((".py", ".bin", ".pt", ".pkl"))]
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000
    with safe_open(FOLDER / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118


def test_the_card_says_what_the_stored_answers_show() -> None:
    """Every figure of its table, from the 9,673 answers beside it."""
    test = pictures.split("test")
    path = FOLDER / "exam.txt"
    assert path.stat().st_size < 200_000
    answers = exam.marked(path.read_text(encoding="utf-8"), test)
    assert exam.paper(answers, test) == path.read_text(encoding="utf-8")
    groups = {"all": answers} | {
        kind: [one for one in answers if one.kind == kind] for kind in exam.KINDS
    }
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(
        r"^\| (.+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+)% \| ([\d.]+)% to ([\d.]+)% \|$", text, re.M
    )
    assert [row[0] for row in found] == list(groups)
    for (name, *figures), group in zip(found, groups.values(), strict=True):
        share = exam.share(group)
        assert share, name
        counts = (sum(one.right for one in group), len(group))
        shown = (f"{one:.2%}".removesuffix("%") for one in (share.value, share.low, share.high))
        assert figures == [*(f"{one:,}" for one in counts), *shown]
    assert len(answers) == 9673


def test_the_stored_answers_are_the_model_s(candidate: exam.Candidate) -> None:
    """A few of each kind, asked again."""
    test = pictures.split("test")
    answers = exam.marked((FOLDER / "exam.txt").read_text(encoding="utf-8"), test)
    some = answers[::200]
    said = candidate.answers(
        [test.paths[one.image] for one in some], [one.asked.text for one in some]
    )
    assert said == [one.said for one in some]
    assert {one.kind for one in some} == set(exam.KINDS)
