"""Six ways in which pictures get worse, each at five severities, for any task whose items have one.

Each is a pure function of picture, strength and seed. One seed gives one pattern at all severities:
a noisier picture has more of the same noise, a more skewed one leans to the same side. Over some
pictures together each severity is farther from the clean ones than the one before (root mean
square); of one picture alone that need not hold, where the steps of JPEG happen to fit it.

The pixels depend on nothing but Pillow's filters and JPEG codec, and the files hold them as they
are, so that equal pictures are equal bytes. Not guaranteed: the same pixels from another release of
Pillow. An item's digest covers its picture, so records tell where that happened.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from harness.run.images import decode
from harness.run.tasks import Item

CLEAN = "clean"
"""In an item's id the place of the degradation. As a facet it has none: it begins every curve."""

_READ_NOISE = 2
"""Of a sensor, in grey levels: what stays when the light goes."""


@dataclass(frozen=True)
class Degradation:
    """`strengths` are in `unit`, from severity 1 to 5."""

    apply: Callable[[Image.Image, float, str], Image.Image]
    unit: str
    strengths: tuple[float, float, float, float, float]
    why: str


def _blur(image: Image.Image, strength: float, seed: str) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(strength))


def _jpeg(image: Image.Image, strength: float, seed: str) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(strength))
    with Image.open(file) as found:
        return found.convert(image.mode)


def _noise(image: Image.Image, strength: float, seed: str) -> Image.Image:
    return _noisy(np.asarray(image).astype(np.int32), int(strength), seed)


def _low_light(image: Image.Image, strength: float, seed: str) -> Image.Image:
    return _noisy(np.asarray(image).astype(np.int32) >> int(strength), _READ_NOISE, seed)


def _noisy(pixels: NDArray[np.int32], deviation: int, seed: str) -> Image.Image:
    """In whole numbers alone, so that no processor rounds otherwise.

    The sum of twelve random bytes is as good as normal, with a standard deviation of 256.
    """
    drawn = np.frombuffer(random.Random(seed).randbytes(12 * pixels.size), np.uint8)
    normal = drawn.reshape(12, -1).sum(axis=0, dtype=np.int32) - 12 * 255 // 2
    noisy = pixels + (normal.reshape(pixels.shape) * deviation + 128 >> 8)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _skew(image: Image.Image, strength: float, seed: str) -> Image.Image:
    """On a larger ground in the colour of the corner: no part of the picture is cut off."""
    degrees = random.Random(seed).choice((-1, 1)) * strength
    ground = image.getpixel((0, 0))
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=ground)


def _low_resolution(image: Image.Image, strength: float, seed: str) -> Image.Image:
    small = (round(image.width * strength), round(image.height * strength))
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


_AS_IMAGENET_C = "ImageNet-C's five, so that curves can be laid beside its"

DEGRADATIONS = {
    "blur": Degradation(
        _blur,
        "pixels, standard deviation of a Gaussian",
        (1, 2, 3, 4, 6),
        _AS_IMAGENET_C,
    ),
    "jpeg": Degradation(_jpeg, "libjpeg's quality", (25, 18, 15, 10, 7), _AS_IMAGENET_C),
    "noise": Degradation(
        _noise,
        "grey levels of 255, standard deviation",
        (20, 31, 46, 66, 97),
        f"{_AS_IMAGENET_C}: .08, .12, .18, .26 and .38 of white",
    ),
    "low light": Degradation(
        _low_light,
        "stops less light; the sensor's noise of 2 grey levels stays",
        (1, 2, 3, 4, 5),
        "each stop is half of the light; after five, white is 7 and lies near the noise",
    ),
    "skew": Degradation(
        _skew,
        "degrees",
        (2, 5, 10, 15, 20),
        "from a sheet laid on a scanner by hand to a photo taken in passing",
    ),
    "low resolution": Degradation(
        _low_resolution,
        "of the width and height that is left, shown at the old size",
        (0.6, 0.5, 0.4, 0.3, 0.25),
        f"{_AS_IMAGENET_C}, which calls it pixelate",
    ),
}

SEVERITIES = range(1, 6)
CONDITIONS = ((CLEAN, 0), *((name, at) for name in DEGRADATIONS for at in SEVERITIES))


def degraded(image: Image.Image, name: str, severity: int, seed: str) -> Image.Image:
    """`image`, in grey or RGB, under one degradation; of the same mode."""
    found = DEGRADATIONS[name]
    return found.apply(image, found.strengths[severity - 1], f"{seed}:{name}")


def under_each(items: Iterable[Item], seed: int) -> Iterator[Item]:
    """Each item of one picture clean, then under every degradation and severity; then the next.

    All of an item's versions are asked the same and share its group. The clean one keeps its file.
    """
    versions: dict[bytes, list[bytes]] = {}
    for item in items:
        (clean,) = item.images
        if clean not in versions:
            versions[clean] = list(_files(clean, item.id, seed))
        for (name, severity), file in zip(CONDITIONS, versions[clean], strict=True):
            facets = {"severity": str(severity)} | ({} if name == CLEAN else {"degradation": name})
            id_ = f"{item.id}-{name.replace(' ', '_')}-{severity}"
            yield replace(item, id=id_, images=(file,), facets=facets)


def _files(clean: bytes, name: str, seed: int) -> Iterator[bytes]:
    """A picture under each of CONDITIONS, as BMP: what compresses may do so otherwise elsewhere."""
    pixels = decode(clean, name)
    grey = bool((pixels == pixels[..., :1]).all())  # then a third of the work and of the memory
    image = Image.fromarray(pixels[..., 0] if grey else pixels)
    own = f"{seed}:{hashlib.sha256(clean).hexdigest()}"
    for condition, severity in CONDITIONS:
        if condition == CLEAN:
            yield clean
        else:
            file = io.BytesIO()
            degraded(image, condition, severity, own).save(file, "BMP")
            yield file.getvalue()
