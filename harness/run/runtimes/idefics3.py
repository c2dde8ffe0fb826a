"""Images as Idefics3 and SmolVLM take them: cut into square tiles, each named in the prompt.

The same pixels and the same text as transformers' processor of the name makes with Pillow. Its
other make, on torchvision, resizes by filters of its own and is not followed. A side too thin to be
resized is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from PIL import Image

from harness.run.images import Pixels
from harness.run.runtimes import ArtifactRefused

Array = np.ndarray[Any, np.dtype[Any]]

MARK = "<image>"
"""In the prompt: for each image as the template leaves it, for each of its tokens once expanded."""
NAMES = tuple(
    f"{family}ImageProcessor{make}"
    for family in ("Idefics3", "SmolVLM")
    for make in ("", "Pil", "Fast")
)
_MOST = 4096  # pixels of a resized image's longer side, whatever is configured
_FAKE, _WHOLE = "<fake_token_around_image>", "<global-img>"
_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "size": {"longest_edge": 4 * 364},
    "resample": Image.Resampling.LANCZOS,
    "do_image_splitting": True,
    "max_image_size": {"longest_edge": 364},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


@dataclass(frozen=True)
class Tiles:
    """One image: `rows` times `columns` tiles and then the whole, or the whole alone."""

    pictures: list[Image.Image]
    rows: int
    columns: int


class Idefics3:
    """`config`: as preprocessor_config.json has it. Raises ArtifactRefused for another's."""

    def __init__(self, config: dict[str, Any], tokens_per_tile: int) -> None:
        name = config.get("image_processor_type")
        if name not in NAMES:
            raise ArtifactRefused(f"the image processor {name} is not known here")
        self._config, self._tokens = _DEFAULTS | config, tokens_per_tile
        try:
            self._longest = int(self._config["size"]["longest_edge"])
            self._side = int(self._config["max_image_size"]["longest_edge"])
            self._filter = Image.Resampling(self._config["resample"])
        except (KeyError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise ArtifactRefused(f"the image processor's configuration: {problem}") from error

    def __call__(self, text: str, images: Sequence[Pixels]) -> tuple[str, Array]:
        """The prompt with a mark for each token of an image, and all tiles as (n, 3, side, side).

        Raises ArtifactRefused where marks and images differ in number.
        """
        first, *rest = text.split(MARK)
        if len(rest) != len(images):
            raise ArtifactRefused(f"{len(images)} images; the prompt has a place for {len(rest)}")
        cut = [self._tiles(image) for image in images]
        parts = [first, *(self._named(one) + after for one, after in zip(cut, rest, strict=True))]
        return "".join(parts), self._values([tile for one in cut for tile in one.pictures])

    def _tiles(self, image: Pixels) -> Tiles:
        picture, side = Image.fromarray(image), self._side
        if self._config["do_resize"]:
            picture = self._resized(picture, *_fitted(picture, self._longest))
        if self._config["do_image_splitting"]:
            picture = self._resized(picture, *_filled(picture, side))
        whole = self._resized(picture, side, side)
        if not self._config["do_image_splitting"] or picture.size == (side, side):
            return Tiles([whole], 0, 0)
        width, height = picture.size
        boxes = [
            (left, top, left + side, top + side)
            for top in range(0, height, side)
            for left in range(0, width, side)
        ]
        tiles = [picture.crop(box) for box in boxes]
        return Tiles([*tiles, whole], height // side, width // side)

    def _resized(self, picture: Image.Image, width: int, height: int) -> Image.Image:
        if not (width and height):
            raise ArtifactRefused(f"an image of {picture.width} x {picture.height} is too thin")
        return picture.resize((width, height), self._filter)

    def _values(self, tiles: list[Image.Image]) -> Array:
        values = np.stack([np.asarray(tile, np.float32) for tile in tiles])
        if self._config["do_rescale"]:
            values *= np.float32(self._config["rescale_factor"])
        if self._config["do_normalize"]:
            values -= np.array(self._config["image_mean"], np.float32)
            values /= np.array(self._config["image_std"], np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def _named(self, tiles: Tiles) -> str:
        """The image's place in the prompt: a line for each row of tiles, then the whole."""
        marks, lines = MARK * self._tokens, ""
        for row in range(1, tiles.rows + 1):
            for column in range(1, tiles.columns + 1):
                lines += f"{_FAKE}<row_{row}_col_{column}>{marks}"
            lines += "\n"
        if lines:
            lines += "\n"
        return f"{lines}{_FAKE}{_WHOLE}{marks}{_FAKE}"


def _fitted(picture: Image.Image, longest: int) -> tuple[int, int]:
    """Width and height with the longer side so long; the other is made even and at least 1."""
    width, height = _scaled(picture.width, picture.height, longest)
    if picture.width >= picture.height:
        height += height % 2
    else:
        width += width % 2
    width, height = max(width, 1), max(height, 1)
    if longest > _MOST:
        width, height = _scaled(width, height, _MOST)
    return max(width, 1), max(height, 1)


def _scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    shape = width / height
    return (longest, int(longest / shape)) if shape >= 1 else (int(longest * shape), longest)


def _filled(picture: Image.Image, side: int) -> tuple[int, int]:
    """Width and height made longer to whole tiles: first the longer side, by it the other."""
    longest = ceil(max(picture.size) / side) * side
    width, height = _scaled(picture.width, picture.height, longest)
    return ceil(width / side) * side, ceil(height / side) * side
