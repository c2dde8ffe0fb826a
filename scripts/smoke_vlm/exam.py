"""The exam: the saved folder, loaded as anyone would, answers every question of the test split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from harness import statistics
from harness.statistics import Estimate
from smoke_vlm.pictures import COLOURS, SHAPES, Asked, Split

KINDS = ("shape", "colour", "yes or no")


@dataclass(frozen=True)
class Answer:
    """What the model said when asked about an image."""

    image: int
    asked: Asked
    said: str

    @property
    def right(self) -> bool:
        return self.said == self.asked.answer

    @property
    def kind(self) -> str:
        return KINDS[0 if self.asked.answer in SHAPES else 1 if self.asked.answer in COLOURS else 2]


class Candidate:
    """A folder as transformers loads it, in fp32."""

    def __init__(self, folder: Path) -> None:
        self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.model = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        ).eval()

    def inputs(self, paths: list[str], questions: list[str]) -> Any:
        """What the model gets: one chat per question, its image beside it."""
        chats = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
            for text in questions
        ]
        prompts = self.processor.apply_chat_template(chats, add_generation_prompt=True)
        images = []
        for path in paths:
            with Image.open(path) as image:
                images.append([image.convert("RGB")])
        return self.processor(text=prompts, images=images, padding=True, return_tensors="pt")

    def answers(self, paths: list[str], questions: list[str]) -> list[str]:
        """Greedy, by transformers' own generate."""
        inputs = self.inputs(paths, questions)
        with torch.inference_mode():
            ids = self.model.generate(**inputs, do_sample=False, max_new_tokens=8)
        fresh = ids[:, inputs["input_ids"].shape[1] :]
        said = self.processor.batch_decode(fresh, skip_special_tokens=True)
        return [one.strip() for one in said]


def sit(candidate: Candidate, test: Split, batch: int = 64) -> Iterator[Answer]:
    """Asks everything, in the split's order."""
    items = [(image, one) for image, asked in enumerate(test.asked) for one in asked]
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        paths, texts = [test.paths[image] for image, _ in part], [one.text for _, one in part]
        for (image, one), said in zip(part, candidate.answers(paths, texts), strict=True):
            yield Answer(image, one, said)


def paper(answers: Iterable[Answer], test: Split) -> str:
    """What was said, a line each: the row of the data set and the answer as a JSON string."""
    rows = (row for image in test.rows for row in image)
    said = sorted((row, one.said) for row, one in zip(rows, answers, strict=True))
    return "".join(f"{row} {json.dumps(text)}\n" for row, text in said)


def marked(paper: str, test: Split) -> list[Answer]:
    """The answers of a paper, in the split's order."""
    said = {int(row): json.loads(text) for row, text in map(_halves, paper.splitlines())}
    return [
        Answer(image, one, said.pop(row))
        for image, (rows, asked) in enumerate(zip(test.rows, test.asked, strict=True))
        for row, one in zip(rows, asked, strict=True)
    ]


def _halves(line: str) -> tuple[str, str]:
    row, _, text = line.partition(" ")
    return row, text


def share(answers: list[Answer]) -> Estimate | None:
    """The share that is right; questions about one image stand or fall together."""
    return statistics.share([one.right for one in answers], [one.image for one in answers])
