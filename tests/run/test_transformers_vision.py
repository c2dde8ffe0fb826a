"""transformers looking at pictures: the smoke VLM, and small random models that cut them up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import write_model, write_tokenizer
from tiny_vlms import SPECIAL, TILE_TOKENS, write_vlm
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.smolvlm.processing_smolvlm import get_image_prompt_string

from harness.ask import tasks
from harness.prepare.pypi import fetch_wheel
from harness.run.chat_template import render
from harness.run.images import Pixels, decode
from harness.run.protocol import Settings
from harness.run.runtimes import ArtifactRefused, settings_for
from harness.run.runtimes.transformers import Transformers
from harness.run.tasks import kind

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"
ASKED = 24
NEW = 12


def runtime(path: Path, quantisation: str = "fp32", context: int = 512) -> Transformers:
    settings: Settings = settings_for("transformers", "cpu", 1, context, quantisation)
    found = Transformers()
    found.load(str(path), settings)
    found.create_context()
    return found


def picture(height: int, width: int, seed: int = 1) -> Pixels:
    chance = np.random.default_rng(seed)
    return chance.integers(0, 256, (height, width, 3), dtype=np.uint8)  # type: ignore[return-value]


def generated(model: Any, inputs: dict[str, Any], new_tokens: int) -> list[int]:
    """The library's own greedy answer."""
    ids = inputs["input_ids"]
    whole = torch.ones_like(ids)
    answer = model.generate(
        **inputs, attention_mask=whole, do_sample=False, max_new_tokens=new_tokens
    )
    return list(answer[0, ids.shape[1] :].tolist())


@pytest.fixture(scope="module")
def smoke() -> Transformers:
    return runtime(SMOKE)


@pytest.fixture(scope="module")
def questions() -> list[tuple[str, Pixels]]:
    """The task's first questions, each with its picture."""
    task = tasks.load()["easy_vqa"]
    source = task.source
    wanted = (source.package, source.version, source.wheel, source.wheel_sha256)
    wheel = fetch_wheel(*wanted, wheel_bytes=source.wheel_bytes)
    found = kind(task.kind).items(task, wheel, ASKED)
    return [(one.messages[0]["content"][1]["text"], decode(one.images[0], one.id)) for one in found]


def prompted(found: Transformers, text: str, images: int = 1) -> str:
    parts = [{"type": "image"}] * images + [{"type": "text", "text": text}]
    return render(found.chat_template(), [{"role": "user", "content": parts}])


# The smoke VLM


def test_answers_are_those_of_generate(
    smoke: Transformers, questions: list[tuple[str, Pixels]]
) -> None:
    """Prompt, expansion and pixels as the library's own chat makes them."""
    processor = AutoProcessor.from_pretrained(SMOKE)
    model = AutoModelForImageTextToText.from_pretrained(SMOKE, dtype=torch.float32)
    answers = set()
    for text, image in questions:
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        del inputs["attention_mask"]
        seen = smoke.see(prompted(smoke, text), [image])
        assert seen.ids == inputs["input_ids"][0].tolist()
        answer = smoke.evaluate(seen, 8, stop_at_end=True)
        assert answer.tokens == generated(model, inputs, 8)
        answers.add(tuple(answer.tokens))
    assert len(answers) > 3


def test_an_image_is_counted_and_timed_apart(
    smoke: Transformers, questions: list[tuple[str, Pixels]]
) -> None:
    text, image = questions[0]
    seen = smoke.see(prompted(smoke, text), [image])
    assert seen.image_tokens == 16 == seen.ids.count(SPECIAL.index("<image>"))
    answer = smoke.evaluate(seen, 2, stop_at_end=False)
    assert answer.evaluated_tokens == len(seen.ids)
    assert answer.image_seconds is not None
    assert 0 < answer.image_seconds < answer.first_token_seconds
    assert answer.image_seconds + answer.prefill_seconds <= answer.first_token_seconds


def test_without_an_image_nothing_is_encoded(smoke: Transformers) -> None:
    prompt = smoke.tokenize(prompted(smoke, "what shape is it?", images=0))
    answer = smoke.evaluate(prompt, 2, stop_at_end=False)
    assert answer.image_seconds is None
    assert answer.evaluated_tokens == len(prompt)


def test_images_leave_nothing_behind(
    smoke: Transformers, questions: list[tuple[str, Pixels]]
) -> None:
    prompt = smoke.tokenize("Assistant:")
    before = smoke.evaluate(prompt, 4, stop_at_end=False, top=5).first_logprobs
    smoke.evaluate(
        smoke.see(prompted(smoke, questions[0][0]), [questions[0][1]]), 2, stop_at_end=True
    )
    assert smoke.evaluate(prompt, 4, stop_at_end=False, top=5).first_logprobs == before


@pytest.mark.parametrize("quantisation", ["bf16", "fp16"])
def test_half_precision_sees_as_well(
    quantisation: str, smoke: Transformers, questions: list[tuple[str, Pixels]]
) -> None:
    """The settings' dtype reaches the pixels; nearly all answers stay."""
    half, same = runtime(SMOKE, quantisation), 0
    for text, image in questions:
        whole, halved = (
            one.evaluate(one.see(prompted(one, text), [image]), 8, stop_at_end=True)
            for one in (smoke, half)
        )
        same += whole.tokens == halved.tokens
    assert same >= ASKED - 2
    assert (
        half.applied()["settings"]["options"]["dtype"]
        == {"bf16": "bfloat16", "fp16": "float16"}[quantisation]
    )


def test_both_halves_of_the_model_are_weighed(smoke: Transformers) -> None:
    assert smoke.header()["parameters"] == 2_179_264
    assert smoke.applied()["weight_buffers"]["cpu float32"] >= 4 * 2_179_264


# Models that cut pictures into tiles


@pytest.fixture(scope="module", params=["idefics3", "smolvlm"])
def cutter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vlm(tmp_path_factory.mktemp("vlm") / "m", request.param)


@pytest.mark.parametrize("shape", [(96, 96), (40, 90), (90, 40), (20, 20)], ids=str)
def test_answers_about_tiles_are_those_of_generate(cutter: Path, shape: tuple[int, int]) -> None:
    found = runtime(cutter)
    model = AutoModelForImageTextToText.from_pretrained(cutter)
    model.generation_config.eos_token_id = None
    seen = found.see(prompted(found, "What is it?"), [picture(*shape)])
    inputs = {"input_ids": torch.tensor([seen.ids]), **seen.images}
    answer = found.evaluate(seen, NEW, stop_at_end=False)
    assert answer.tokens == generated(model, inputs, NEW)
    assert len(set(answer.tokens)) > 3


@pytest.mark.parametrize(
    ("shape", "rows", "columns"), [((96, 96), 3, 3), ((30, 96), 1, 3), ((96, 30), 3, 1)], ids=str
)
def test_each_tile_takes_its_tokens(
    cutter: Path, shape: tuple[int, int], rows: int, columns: int
) -> None:
    """As SmolVLM's own processor words them, which cannot be loaded here."""
    found = runtime(cutter)
    seen = found.see("a<image>b", [picture(*shape)])
    tokens = ("<fake_token_around_image>", "<image>", "<global-img>")
    text = get_image_prompt_string(rows, columns, TILE_TOKENS, *tokens)
    assert seen.ids == found.tokenize(f"a{text}b")
    assert seen.image_tokens == (rows * columns + 1) * TILE_TOKENS
    assert seen.images["pixel_values"].shape[:2] == (1, rows * columns + 1)


def test_two_images_stay_in_order(cutter: Path) -> None:
    found = runtime(cutter)
    one, other = picture(96, 96, 1), picture(40, 90, 2)
    answers = [
        found.evaluate(found.see("<image> or <image>?", pair), NEW, stop_at_end=False, top=5)
        for pair in ([one, one], [one, other], [other, one])
    ]
    assert len({tuple(answer.first_logprobs) for answer in answers}) == 3


# Refusals


def test_a_model_without_a_vision_part_is_refused(tmp_path: Path) -> None:
    found = runtime(write_model(tmp_path / "m"), context=64)
    with pytest.raises(ArtifactRefused, match="no vision part"):
        found.see("<image>", [picture(8, 8)])


def test_a_class_that_cannot_be_served_is_refused_by_name(tmp_path: Path) -> None:
    """Qwen2.5-VL's positions have three parts, which it keeps from one prompt to the next."""
    config = AutoConfig.for_model(
        "qwen2_5_vl",
        text_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 300,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
        },
    )
    AutoModelForImageTextToText.from_config(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    found = runtime(tmp_path, context=64)
    assert len(found.evaluate([5, 6, 7], 3, stop_at_end=False).tokens) == 3
    with pytest.raises(ArtifactRefused, match="Qwen2_5_VLForConditionalGeneration keeps positions"):
        found.see("<image>", [picture(8, 8)])


@pytest.mark.parametrize(
    ("text", "images"), [("no mark", 1), ("<image><image>", 1), ("<image>", 2)]
)
def test_marks_and_images_that_differ_in_number_are_refused(
    text: str, images: int, smoke: Transformers
) -> None:
    with pytest.raises(ArtifactRefused, match="number of images"):
        smoke.see(text, [picture(64, 64)] * images)


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (64, 1), (3, 64), (3, 3), (1, 2000), (2000, 2)])
def test_thin_images_are_answered(cutter: Path, shape: tuple[int, int]) -> None:
    found = runtime(cutter)
    seen = found.see("<image>", [picture(*shape)])
    assert len(found.evaluate(seen, 2, stop_at_end=False).tokens) == 2


@pytest.mark.parametrize("shape", [(3, 64), (1, 64), (64, 3)], ids=str)
def test_height_is_not_taken_for_colour(shape: tuple[int, int], smoke: Transformers) -> None:
    red = np.zeros((*shape, 3), np.uint8)
    red[..., 0] = 255
    (pixels,) = smoke.see("<image>", [red]).images["pixel_values"][0]  # type: ignore[list-item]
    assert pixels.mean(dim=(1, 2)).tolist() == [1, -1, -1]


def test_more_image_tokens_than_room_are_refused(cutter: Path) -> None:
    found = runtime(cutter, context=32)
    with pytest.raises(ArtifactRefused, match="tokens; the context has 32"):
        found.evaluate(found.see("<image>", [picture(96, 96)]), 2, stop_at_end=False)


def test_a_folder_without_a_processor_still_reads_text(tmp_path: Path) -> None:
    path = write_vlm(tmp_path / "m")
    (path / "processor_config.json").unlink()
    found = runtime(path)
    assert len(found.evaluate(found.tokenize("Hi"), 2, stop_at_end=False).tokens) == 2
    with pytest.raises(ArtifactRefused, match="processor"):
        found.see("<image>", [picture(8, 8)])
