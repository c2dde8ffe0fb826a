"""Images as a task has them, turned into pixels once for all runtimes.

An image file is data from outside: it is decoded by Pillow alone, only in the formats named here,
and never at a size that its header hides. What a runtime gets is plain RGB, so that no runtime
decodes, rotates or blends by rules of its own.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from harness.errors import BadFile

Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""Height, width, then red, green and blue from 0 to 255."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 64_000_000
"""Above any camera's picture in a data set, and 192 MB as RGB: a bomb is refused by its header."""


def decode(data: bytes, name: str) -> Pixels:
    """The first frame of an encoded image in RGB, upright by its EXIF orientation.

    Transparent parts become white, as on a page. CMYK, grey and palette images are converted
    without a colour profile, as Pillow does it. Raises BadFile, with `name`, for what is no whole
    image of FORMATS or has more than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is lower
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadFile(
                        f"image {name}: {image.width} x {image.height} is more than "
                        f"{MAX_PIXELS // 10**6} million pixels"
                    )
                image.load()
                return _rgb(ImageOps.exif_transpose(image))
    except (BadFile, MemoryError):
        raise
    except Exception as error:  # a decoder of foreign bytes: any exception can come out of it
        raise BadFile(f"image {name}: {type(error).__name__}: {error}") from error


def _rgb(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return np.asarray(image.convert("RGB"))
