"""The geometries of models.yaml give the sizes that their publishers name, within 0.5 %."""

from __future__ import annotations

import pytest

from harness.ask import models


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
