"""The exporter `bitsandbytes`: 4 bits for transformers, said to be 4 bits, and about as right."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from harness import prepare
from harness.ask import models
from harness.run.records import Applied
from harness.run.runtimes import settings_for
from harness.run.runtimes.transformers import Transformers

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"


@pytest.fixture(scope="module")
def exported() -> Path:
    model = models.load()["smoke-vlm"]
    return prepare.prepare(model, model.artifact("nf4", ("safetensors",))).path


def loaded(path: Path, quantisation: str) -> Transformers:
    found = Transformers()
    found.load(str(path), settings_for("transformers", "cpu", 1, 256, quantisation))
    found.create_context()
    return found


def test_the_folder_is_whole_and_small(exported: Path) -> None:
    for path in SMOKE.iterdir():
        assert (exported / path.name).exists() == (path.name not in ("README.md", "exam.txt"))
    quantised = json.loads((exported / "config.json").read_text())["quantization_config"]
    assert (quantised["quant_method"], quantised["bnb_4bit_quant_type"]) == ("bitsandbytes", "nf4")
    size, before = ((at / "model.safetensors").stat().st_size for at in (exported, SMOKE))
    assert size < 0.4 * before


def test_it_runs_and_says_what_it_holds(exported: Path) -> None:
    found = loaded(exported, "nf4")
    applied = Applied.model_validate(found.applied())
    assert applied.settings == found._settings
    assert applied.settings.options["dtype"] == "float32"
    held = applied.weight_buffers
    weights, matrices = found.header()["parameters"], 2 * held["cpu uint8"]
    assert weights == loaded(SMOKE, "fp32").header()["parameters"]
    assert matrices > 0.9 * weights
    scales = 4 * matrices / 64
    assert held["cpu float32"] == pytest.approx(4 * (weights - matrices) + scales, rel=0.02)


def test_it_answers_nearly_as_the_whole_does(exported: Path) -> None:
    import easy_vqa
    from PIL import Image

    quantised, whole = loaded(exported, "nf4"), loaded(SMOKE, "fp32")
    asked, _, shown = easy_vqa.get_test_questions()
    pictures = easy_vqa.get_test_image_paths()
    same, apart = [], []
    for at in range(0, len(asked), len(asked) // 12):
        image = np.asarray(Image.open(pictures[shown[at]]).convert("RGB"))
        prompt = f"<|im_start|>User:<image>{asked[at]}<end_of_utterance>\nAssistant:"
        mine, theirs = (
            one.evaluate(one.see(prompt, [image]), 4, stop_at_end=True, top=384)
            for one in (quantised, whole)
        )
        same.append(mine.tokens == theirs.tokens)
        likeliest, logprob = theirs.first_logprobs[0]
        apart.append(abs(dict(mine.first_logprobs)[likeliest] - logprob))
    assert same.count(False) <= 1
    assert 0 < median(apart) < 0.05
