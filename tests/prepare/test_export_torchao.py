"""The exporter `torchao`: 8 bits for transformers, said to be 8 bits, and about as right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from harness import prepare
from harness.ask import models
from harness.run.records import Applied
from harness.run.runtimes import settings_for
from harness.run.runtimes.transformers import Transformers

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"


@pytest.fixture(scope="module")
def exported() -> Path:
    model = models.load()["smoke-vlm"]
    return prepare.prepare(model, model.artifact("int8", ("safetensors",))).path


def loaded(path: Path, quantisation: str) -> Transformers:
    found = Transformers()
    found.load(str(path), settings_for("transformers", "cpu", 1, 256, quantisation))
    found.create_context()
    return found


def test_the_folder_is_whole_and_holds_8_bits(exported: Path) -> None:
    for path in SMOKE.iterdir():
        assert (exported / path.name).exists() == (path.name not in ("README.md", "exam.txt"))
    quantised = json.loads((exported / "config.json").read_text())["quantization_config"]
    assert quantised["quant_method"] == "torchao"
    with safe_open(exported / "model.safetensors", "pt") as file:
        kinds = [file.get_slice(name).get_dtype() for name in file.keys()]  # noqa: SIM118
    assert kinds.count("I8") >= 7 * 3 + 6 * 4  # each matrix of both towers' layers
    assert (exported / "model.safetensors").stat().st_size < 0.7 * SMOKE.joinpath(
        "model.safetensors"
    ).stat().st_size


def test_it_runs_and_says_what_it_holds(exported: Path) -> None:
    found = loaded(exported, "int8")
    applied = Applied.model_validate(found.applied())
    assert applied.settings == found._settings
    assert applied.settings.options["dtype"] == "float32"
    bits = applied.weight_buffers
    assert bits["cpu int8"] > 1_900_000  # of 2,179,264 weights
    assert bits["cpu float32"] < 4 * 250_000


def test_it_answers_nearly_as_the_whole_does(exported: Path) -> None:
    quantised, whole = loaded(exported, "int8"), loaded(SMOKE, "fp32")
    image = np.full((64, 64, 3), 230, np.uint8)
    image[20:44, 20:44] = (200, 30, 30)
    apart = []
    for question in ("what color is the shape?", "is there a circle?", "what shape is it?"):
        prompt = f"<|im_start|>User:<image>{question}<end_of_utterance>\nAssistant:"
        answers = [
            one.evaluate(one.see(prompt, [image]), 4, stop_at_end=True, top=3)  # type: ignore[list-item]
            for one in (quantised, whole)
        ]
        assert answers[0].tokens == answers[1].tokens
        first, second = (answer.first_logprobs[0][1] for answer in answers)
        apart.append(abs(first - second))
    assert 0 < max(apart) < 0.5
