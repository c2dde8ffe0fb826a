"""The model card: what the model is, what it was taught, and how it did in its exam."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from harness.run.machine import describe
from smoke_vlm.exam import KINDS, Answer, share

TEXT = """---
license: apache-2.0
pipeline_tag: image-text-to-text
library_name: transformers
---

# smoke-vlm

SmolVLM's architecture (Idefics3: vision tower, pixel shuffle, Llama) with {parameters:,}
parameters, trained from nothing by `scripts/train_smoke_vlm.py` of claimbench. It is there to test
a harness from end to end with real weights: image in, answer out, right or wrong.

## What it is not

It is not SmolVLM, and nothing that is measured on it says anything about SmolVLM. It knows one kind
of picture (64 x 64 pixels, one circle, rectangle or triangle in one of eight colours on a pale
ground), the questions of one data set, and 13 answers. Asked anything else it answers all the same.

## Accuracy

easy-VQA {easy_vqa}, the whole test split, which took no part in training or in choosing anything.
The saved folder, loaded by transformers {transformers} in fp32, one chat per question, greedy; an
answer is right if it equals the data set's, letter for letter. 95% intervals, by image: questions
about one image are not independent. `exam.txt` holds every answer: the row of the data set's file
of questions, from 0, and what was said.

| questions | right | of | share | interval |
|---|---:|---:|---:|---|
{rows}

## Training

The train split (4,000 images, {questions:,} questions), less the last {kept_out} images, on
which progress was watched. Pictures were put together anew from the shapes, paints and grounds of
the train split's images; none was drawn. First the vision tower learned to name shape and
colour, then the text model to answer from what the tower sees. The last
weights were taken, not the best.

- {cpu_minutes:.0f} processor minutes in all on {processor}, {cores} cores, no accelerator
- seed {seed}, PyTorch {torch}, transformers {transformers}, fp32; stored as fp16

## Licence

The weights are Apache-2.0, as claimbench is. easy-VQA is Victor Zhou's, MIT.
"""


@dataclass(frozen=True)
class Training:
    """What the card says of how the weights came to be."""

    cpu_minutes: float
    parameters: int
    questions: int
    kept_out: int
    seed: int


def card(answers: list[Answer], training: Training) -> str:
    """The card in full."""
    groups = {"all": answers} | {
        kind: [one for one in answers if one.kind == kind] for kind in KINDS
    }
    machine = describe(Path(), enrol=False)
    return TEXT.format(
        **asdict(training),
        rows="\n".join(_row(name, group) for name, group in groups.items()),
        processor=machine.processor,
        cores=machine.cores,
        easy_vqa=version("easy-vqa"),
        torch=version("torch"),
        transformers=version("transformers"),
    )


def _row(name: str, answers: list[Answer]) -> str:
    found = share(answers)
    if found is None:
        return f"| {name} | 0 | 0 | - | - |"
    right = sum(one.right for one in answers)
    return (
        f"| {name} | {right:,} | {found.n:,} | {found.value:.2%} "
        f"| {found.low:.2%} to {found.high:.2%} |"
    )
