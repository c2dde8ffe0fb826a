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


def test_the_card_gives_an_accuracy_with_its_n() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    row = re.search(r"^\| all \| ([\d,]+) \| ([\d,]+) \| ([\d.]+)% \|", text, re.M)
    assert row
    hits, asked = (int(row[at].replace(",", "")) for at in (1, 2))
    assert asked == 9673
    assert f"{hits / asked:.2%}" == f"{row[3]}%"
    assert hits / asked >= LEAST
