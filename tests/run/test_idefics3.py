"""Our own processor of images: pixels and ids as transformers' Idefics3 processor makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.idefics3 import Idefics3

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"
CONFIG = json.loads((SMOKE / "processor_config.json").read_text())["image_processor"]
SIZES = ((64, 64), (1, 1), (1, 300), (300, 1), (3, 2), (63, 65), (129, 64), (640, 480), (37, 1000))
"""Width and height; `sizes` adds others by chance."""
SMOLVLM = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
CONFIGS: dict[str, dict[str, Any]] = {
    "whole": {},
    "whole, shrunk": {"size": {"longest_edge": 100}},
    "tiles": {"do_image_splitting": True, "size": {"longest_edge": 200}},
    "tiles, one": {"do_image_splitting": True},
    "tiles, SmolVLM": {"do_image_splitting": True, **SMOLVLM},
    "tiles, as they come": {"do_image_splitting": True, "do_resize": False},
    "bicubic": {"do_image_splitting": True, "size": {"longest_edge": 130}, "resample": 3},
    "another normal": {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.3, 0.2, 0.1]},
    "not normalised": {"do_normalize": False},
    "as bytes": {"do_rescale": False, "do_normalize": False},
    "beyond the most": {"size": {"longest_edge": 4100}, "max_image_size": {"longest_edge": 512}},
}
EVERY = pytest.mark.parametrize("changes", CONFIGS.values(), ids=list(CONFIGS))
TEXT = "<|im_start|>User:<image>What is it?\nAnd this:<image><end_of_utterance>\nAssistant:"


@pytest.fixture(scope="module")
def theirs() -> Callable[[dict[str, Any]], Any]:
    from transformers import AutoTokenizer, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = AutoTokenizer.from_pretrained(SMOKE, local_files_only=True)
    known = {name: one for name, one in CONFIG.items() if name != "image_processor_type"}
    return lambda changes: Idefics3Processor(
        Idefics3ImageProcessorPil(**(known | changes)), tokenizer, image_seq_len=16
    )


def sizes(seed: int) -> list[tuple[int, int]]:
    chance = np.random.default_rng(seed)
    return [*SIZES, *(tuple(chance.integers(1, 400, 2).tolist()) for _ in range(6))]


def picture(width: int, height: int) -> Any:
    chance = np.random.default_rng(width * 10_000 + height)
    return chance.integers(0, 256, (height, width, 3), dtype=np.uint8)


def compared(ours: Idefics3, theirs: Any, first: Any, second: Any) -> None:
    expected = theirs(text=TEXT, images=[[Image.fromarray(one) for one in (first, second)]])
    text, pixels = ours(TEXT, [first, second])
    assert theirs.tokenizer(text)["input_ids"] == expected["input_ids"][0]
    np.testing.assert_allclose(pixels, expected["pixel_values"][0], atol=1e-5)
    assert pixels.dtype == np.float32
    assert np.asarray(expected["pixel_attention_mask"]).all()


@EVERY
def test_pixels_and_ids_are_those_of_transformers(
    changes: dict[str, Any], theirs: Callable[[dict[str, Any]], Any]
) -> None:
    ours, other = Idefics3(CONFIG | changes, 16), theirs(changes)
    pairs = list(pairwise(sizes(len(str(changes)))))
    if changes.get("size", {}).get("longest_edge", 0) > 1000:
        pairs = pairs[7:8]  # transformers takes seconds for each
    for first, second in pairs:
        compared(ours, other, picture(*first), picture(*second))


def test_defaults_are_those_of_transformers(theirs: Callable[[dict[str, Any]], Any]) -> None:
    """For configurations that leave out what is usual."""
    other = theirs({})
    other.image_processor = type(other.image_processor)()
    ours = Idefics3({"image_processor_type": CONFIG["image_processor_type"]}, 16)
    compared(ours, other, picture(500, 300), picture(20, 30))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_images_as_places(count: int) -> None:
    with pytest.raises(ArtifactRefused, match=f"{count} images; the prompt has a place for 2"):
        Idefics3(CONFIG, 16)(TEXT, [picture(64, 64)] * count)


@pytest.mark.parametrize("name", ["PixtralImageProcessor", "CLIPImageProcessor", None])
def test_another_processor_is_refused_by_name(name: str | None) -> None:
    with pytest.raises(ArtifactRefused, match=f"the image processor {name} is not known"):
        Idefics3(CONFIG | {"image_processor_type": name}, 16)


@pytest.mark.parametrize(
    "changes",
    [{"size": {"shortest_edge": 5}}, {"max_image_size": None}, {"resample": 17}, {"size": "big"}],
    ids=str,
)
def test_a_configuration_that_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused, match="the image processor's configuration: "):
        Idefics3(CONFIG | changes, 16)


def test_a_side_too_thin_for_its_tile_is_refused(
    theirs: Callable[[dict[str, Any]], Any],
) -> None:
    """Transformers, too, cannot resize it: rounding leaves no pixel of its width."""
    changes = {"do_image_splitting": True, "do_resize": False}
    thin = next(size for size in range(64, 9999, 64) if int(size * (1 / size)) == 0)
    images = [picture(1, thin), picture(1, 1)]
    with pytest.raises(ValueError, match="height"):
        theirs(changes)(text=TEXT, images=[[Image.fromarray(one) for one in images]])
    with pytest.raises(ArtifactRefused, match=f"an image of 1 x {thin} is too thin"):
        Idefics3(CONFIG | changes, 16)(TEXT, images)
