"""easy-VQA's train split, and new pictures made of its parts.

An image is one shape in one colour on a pale ground. Each is cut into those three, and a batch puts
them together anew: the shape mirrored and somewhere else, on another image's ground and, where no
question speaks of the colour, in another image's colour. Only the train split is ever cut up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from easy_vqa import (
    get_test_image_paths,
    get_test_questions,
    get_train_image_paths,
    get_train_questions,
)
from PIL import Image
from torch import Tensor

SIDE = 64
SHAPES = ("circle", "rectangle", "triangle")
COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
UNKNOWN = -100
"""The label that cross entropy leaves out: about an image that no question says it of."""


@dataclass(frozen=True)
class Asked:
    """One question about one image."""

    text: str
    answer: str


@dataclass(frozen=True)
class Split:
    """Images and, image by image, what is asked of them, and in which row of the data that is."""

    paths: list[str]
    asked: list[list[Asked]]
    rows: list[list[int]]


def split(name: str) -> Split:
    """`train` or `test`, in the package's order of images."""
    get: dict[str, tuple[Any, Any]] = {
        "train": (get_train_questions, get_train_image_paths),
        "test": (get_test_questions, get_test_image_paths),
    }
    questions, images = get[name]
    paths = images()
    order = sorted(paths)
    place = {image: at for at, image in enumerate(order)}
    asked: list[list[Asked]] = [[] for _ in order]
    rows: list[list[int]] = [[] for _ in order]
    for row, (text, answer, image) in enumerate(zip(*questions(), strict=True)):
        asked[place[image]].append(Asked(text, answer))
        rows[place[image]].append(row)
    return Split([paths[image] for image in order], asked, rows)


def pixels(paths: list[str]) -> Tensor:
    """Images as (n, side, side, 3), 0 to 255."""
    rows = []
    for path in paths:
        with Image.open(path) as image:
            rows.append(np.asarray(image.convert("RGB")))
    return torch.from_numpy(np.stack(rows)).float()


def normalised(images: Tensor) -> Tensor:
    """As the processor hands images to the model: channels first, -1 to 1."""
    return (images / 127.5 - 1).permute(0, 3, 1, 2).contiguous()


def said(asked: list[Asked], names: tuple[str, ...]) -> int:
    """Which of `names` the image shows by its questions.

    A question that starts with "what" takes for granted what it names, and its answer is true;
    of the others only a plain yes is read.
    """
    for one in asked:
        words = one.text.rstrip("?").split()
        if words[0] == "what":
            words.append(one.answer)
        elif one.answer == "no" or "not" in words or "no" in words:
            continue
        for at, name in enumerate(names):
            if name in words:
                return at
    return UNKNOWN


class Parts:
    """Images cut into shape (how much of each pixel it covers), paint and ground."""

    def __init__(self, images: Tensor, asked: list[list[Asked]]) -> None:
        flat = images.flatten(1, 2)
        self.ground = flat.median(dim=1).values  # no shape covers more than a quarter
        far = (flat - self.ground[:, None]).abs().sum(-1)
        self.paint = flat[torch.arange(len(flat)), far.argmax(1)]
        line = self.paint - self.ground
        along = ((flat - self.ground[:, None]) * line[:, None]).sum(-1)
        share = along / line.square().sum(-1, keepdim=True)
        self.cover = share.clamp(0, 1).view(-1, SIDE, SIDE)
        self.rows = _extent(self.cover.amax(2))
        self.columns = _extent(self.cover.amax(1))
        spans = [one[:, 1] - one[:, 0] + 1.0 for one in (self.rows, self.columns)]
        sizes = torch.stack([*spans, self.cover.sum((1, 2))], dim=1).log()
        self.sizes = (sizes - sizes.mean(0)) / sizes.std(0)
        """Height, width and area, as logs of mean 0 and deviation 1."""
        self.shape = torch.tensor([said(one, SHAPES) for one in asked])
        self.colour = torch.tensor([said(one, COLOURS) for one in asked])

    def __len__(self) -> int:
        return len(self.cover)

    def compose(self, shapes: Tensor, paints: Tensor, chance: torch.Generator) -> Tensor:
        """New pictures, (n, side, side, 3): the shape of one image in the paint of another."""
        cover = self.cover[shapes]
        down = _moved(self.rows[shapes], chance)
        right = _moved(self.columns[shapes], chance)
        batch = torch.arange(len(shapes))[:, None, None]
        cover = cover[batch, down[:, :, None], right[:, None, :]]
        mirrored = torch.rand(len(shapes), generator=chance) < 0.5
        cover = torch.where(mirrored[:, None, None], cover.flip(2), cover)[..., None]
        grounds = torch.randint(len(self), (len(shapes),), generator=chance)
        paint, ground = self.paint[paints], self.ground[grounds]
        return ground[:, None, None] * (1 - cover) + paint[:, None, None] * cover


def _extent(profile: Tensor) -> Tensor:
    """First and last place that the shape touches, (n, 2)."""
    touched = profile > 0.05
    last = SIDE - 1 - touched.flip(1).float().argmax(1)
    return torch.stack([touched.float().argmax(1), last], dim=1)


def _moved(extent: Tensor, chance: torch.Generator) -> Tensor:
    """For each place of the new picture, the place in the old one; the shape stays whole."""
    room = SIDE - 1 - (extent[:, 1] - extent[:, 0])
    start = (torch.rand(len(extent), generator=chance) * (room + 1)).long()
    return (torch.arange(SIDE)[None] - (start - extent[:, 0])[:, None]) % SIDE
