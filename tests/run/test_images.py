"""Images from outside: whole ones become RGB, all others an error that names them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from harness.errors import BadFile
from harness.run.images import MAX_PIXELS, decode

RED = (255, 0, 0)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_pixels_are_those_of_the_file() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    found = decode(encoded(Image.fromarray(pixels)), "one")
    assert found.dtype == np.uint8
    assert (found == pixels).all()


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "1", "I;16", "RGB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (4, 3), "white").convert(mode if mode != "I;16" else "I")
    data = encoded(image, "TIFF")
    assert decode(data, mode).shape == (3, 4, 3)


def test_cmyk_red_is_red() -> None:
    data = encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode(data, "cmyk").astype(int) - RED).max() < 8


def test_what_is_transparent_becomes_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    assert decode(encoded(image), "clear").tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_a_photograph_is_turned_upright() -> None:
    image = Image.new("RGB", (6, 2))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    assert decode(encoded(image, "JPEG", exif=exif), "photo").shape == (6, 2, 3)


def test_a_line_one_pixel_wide_is_an_image() -> None:
    assert decode(encoded(Image.new("RGB", (1, 300))), "line").shape == (300, 1, 3)


def test_half_a_file_is_refused() -> None:
    whole = encoded(Image.effect_noise((64, 64), 50).convert("RGB"))
    with pytest.raises(BadFile, match="image half of item 7"):
        decode(whole[: len(whole) // 2], "half of item 7")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(BadFile, match=r"image bomb: .*pixels"):
        decode(bomb, "bomb")


def test_more_pixels_than_any_camera_are_refused() -> None:
    wide = encoded(Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)))
    with pytest.raises(BadFile, match="million pixels"):
        decode(wide, "wide")


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89PNG"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadFile, match="image x: "):
        decode(data, "x")
