"""The geometries of models.yaml give the sizes that their publishers name, within 0.5 %."""

from __future__ import annotations

import pytest

from harness.ask import models
from harness.prepare import prepare, synthetic_gguf


@pytest.mark.parametrize(
    ("name", "parameters", "kv_bytes"),
    [
        ("smollm2-135m-instruct", 134.5e6, 23_040),
        ("smollm3-3b", 3.075e9, 73_728),
        ("ministral-3-3b-instruct", 3.43e9, 106_496),  # the text part
    ],
)
def test_parameters_and_kv_bytes_are_the_published_ones(
    name: str, parameters: float, kv_bytes: int
) -> None:
    geometry = models.load()[name].geometry
    assert geometry.parameters() == pytest.approx(parameters, rel=0.005)
    assert geometry.kv_bytes_per_token() == pytest.approx(kv_bytes, rel=0.005)


def test_ministral_with_its_vision_tower_is_what_the_card_says() -> None:
    text = models.load()["ministral-3-3b-instruct"].geometry.parameters()
    low, high = (text + vision for vision in (0.40e9, 0.42e9))
    assert low * 0.995 <= 3.85e9 <= high * 1.005


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("smollm2-360m-instruct", 386_404_992),
        ("smollm2-1.7b-instruct", 1_820_414_944),
        ("smolvlm-256m-instruct", 175_054_528),
        ("smolvlm2-2.2b-instruct", 1_927_933_984),
    ],
)
def test_a_q8_0_file_is_as_large_as_the_published_one_but_for_its_tokenizer(
    name: str, published: int
) -> None:
    """The four have one tokenizer, of 1.7 MiB in each of the published files."""
    model = models.load()[name]
    size = synthetic_gguf.size(model, "Q8_0")
    assert published - size == pytest.approx(1_770_000, abs=10_000)


def test_the_tensors_are_those_of_a_real_file() -> None:
    gguf = pytest.importorskip("gguf")
    model = models.load()["smollm2-135m-instruct"]
    tensors = gguf.GGUFReader(prepare(model, model.artifact("Q4_1")).path).tensors
    real = {one.name: tuple(int(size) for size in reversed(one.shape)) for one in tensors}
    assert dict(model.geometry.tensors()) == real
