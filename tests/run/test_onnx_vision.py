"""Images in ONNX Runtime: the export of smoke-vlm answers as transformers does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_reference import exported
from PIL import Image
from tiny_onnx import runtime

from harness.prepare import quantise
from harness.run.chat_template import render
from harness.run.images import decode
from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.onnx import Onnx

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"
QUESTIONS = 60


@dataclass(frozen=True)
class Question:
    prompt: str
    image: Any


@dataclass(frozen=True)
class Expected:
    ids: list[int]
    answer: list[int]
    logprobs: Any


class Reference:
    """The same weights in transformers, at fp32."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        where = {"pretrained_model_name_or_path": SMOKE, "local_files_only": True}
        self.processor = AutoProcessor.from_pretrained(**where)
        self.model = AutoModelForImageTextToText.from_pretrained(**where, dtype=torch.float32)

    def answer(self, prompt: str, images: list[Any], new_tokens: int = 8) -> Expected:
        import torch

        pictures = [[Image.fromarray(one) for one in images]]
        fed = self.processor(text=prompt, images=pictures, return_tensors="pt")
        with torch.inference_mode():
            made = self.model.generate(
                **fed,
                do_sample=False,
                max_new_tokens=new_tokens,
                return_dict_in_generate=True,
                output_logits=True,
            )
        ids = fed["input_ids"][0].tolist()
        logprobs = torch.log_softmax(made.logits[0][0].double(), -1).numpy()
        return Expected(ids, made.sequences[0, len(ids) :].tolist(), logprobs)


@pytest.fixture(scope="session")
def fp32() -> Path:
    return exported("fp32", "smoke-vlm")


@pytest.fixture(scope="session")
def reference() -> Reference:
    return Reference()


@pytest.fixture
def copy(fp32: Path, tmp_path: Path) -> Path:
    """To be spoilt."""
    return Path(shutil.copytree(fp32, tmp_path / "copy"))


@pytest.fixture(scope="session")
def questions() -> list[Question]:
    """Spread evenly over easy-VQA's test split."""
    from easy_vqa import get_test_image_paths, get_test_questions

    template, paths = (SMOKE / "chat_template.jinja").read_text(), get_test_image_paths()
    texts, _, images = get_test_questions()
    step = len(texts) // QUESTIONS
    return [
        Question(asking(template, text, 1), decode(Path(paths[image]).read_bytes(), str(image)))
        for text, image in list(zip(texts, images, strict=True))[: step * QUESTIONS : step]
    ]


def asking(template: str, text: str, images: int) -> str:
    parts = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": text}]
    return render(template, [{"role": "user", "content": parts}])


def changed(folder: Path, **changes: Any) -> Path:
    """With another configuration of its processor."""
    path = folder / "processor_config.json"
    config = json.loads(path.read_text())
    for name, value in changes.items():
        (config if name in config else config["image_processor"])[name] = value
    path.write_text(json.dumps(config))
    return folder


def picture(width: int, height: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def agreed(found: Onnx, reference: Reference, prompt: str, images: list[Any]) -> bool:
    """Whether ids and answer are those of transformers, the first log-probabilities near."""
    expected, seen = reference.answer(prompt, images), found.see(prompt, images)
    answer = found.evaluate(seen, 8, stop_at_end=True, top=10)
    assert seen.ids == expected.ids
    for token, logprob in answer.first_logprobs:
        assert logprob == pytest.approx(expected.logprobs[token], abs=1e-3)
    assert answer.evaluated_tokens == len(seen.ids)
    return answer.tokens == expected.answer


# Answers


def test_questions_are_answered_as_transformers_does(
    fp32: Path, reference: Reference, questions: list[Question]
) -> None:
    found = runtime(fp32, context=128)
    for one in questions:
        assert agreed(found, reference, one.prompt, [one.image]), one.prompt


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_quantised_export_answers_nearly_all_questions_alike(
    precision: str, fp32: Path, questions: list[Question], tmp_path: Path
) -> None:
    """All 60 were alike here; a wrong scale or axis leaves a handful."""
    folder = Path(shutil.copytree(fp32, tmp_path / precision))
    sizes = []
    for graph in (fp32 / "onnx").iterdir():
        quantise.PRECISIONS[precision](graph, folder / "onnx" / graph.name)
        sizes.append(((folder / "onnx" / graph.name).stat().st_size, graph.stat().st_size))
    assert sum(small for small, _ in sizes) < 0.35 * sum(large for _, large in sizes)
    whole, small = runtime(fp32, context=128), runtime(folder, context=128)
    alike = 0
    for one in questions:
        answers = [
            found.evaluate(found.see(one.prompt, [one.image]), 8, stop_at_end=True).tokens
            for found in (whole, small)
        ]
        alike += answers[0] == answers[1]
    assert alike >= QUESTIONS - 4


def test_several_images_in_their_order(copy: Path, reference: Reference) -> None:
    found = runtime(copy, context=128)
    prompt = asking(found.chat_template(), "what shape is it?", 2)
    images = [picture(64, 64), picture(30, 80, 2)]
    seen = found.see(prompt, images)
    assert seen.image_tokens == 32
    assert agreed(found, reference, prompt, images)
    answers = [
        found.evaluate(found.see(prompt, order), 1, stop_at_end=False, top=5).first_logprobs
        for order in (images, images[::-1])
    ]
    assert answers[0] != answers[1]


def test_an_image_in_tiles(copy: Path, reference: Reference) -> None:
    size = {"longest_edge": 128}
    folder = changed(copy, do_image_splitting=True, size=size)
    other = Reference()
    other.processor.image_processor.do_image_splitting = True
    other.processor.image_processor.size = size
    found = runtime(folder, context=256)
    prompt = asking(found.chat_template(), "what shape is it?", 1)
    assert found.see(prompt, [picture(120, 50)]).image_tokens == 3 * 16
    assert agreed(found, other, prompt, [picture(120, 50)])


def test_a_prompt_without_an_image_is_text_as_ever(fp32: Path, reference: Reference) -> None:
    import torch

    found = runtime(fp32, context=128)
    ids = found.tokenize(asking(found.chat_template(), "is it a circle?", 0))
    with torch.inference_mode():
        expected = reference.model(input_ids=torch.tensor([ids])).logits[0, -1]
    shown = found.evaluate(
        found.see(asking(found.chat_template(), "is it red?", 1), [picture(64, 64)]),
        4,
        stop_at_end=False,
    )
    answer = found.evaluate(ids, 4, stop_at_end=False, top=1)
    assert answer.tokens[0] == int(expected.argmax())
    assert answer.image_seconds is None
    assert answer.evaluated_tokens == len(ids)
    assert shown.image_seconds is not None


def test_an_image_is_timed_apart_and_within_the_first_token(fp32: Path) -> None:
    found = runtime(fp32, context=128)
    seen = found.see(asking(found.chat_template(), "is it red?", 1), [picture(64, 64)])
    answer = found.evaluate(seen, 4, stop_at_end=False)
    assert answer.image_seconds is not None
    assert answer.image_seconds > 0
    assert answer.image_seconds + answer.prefill_seconds < answer.first_token_seconds
    again = found.evaluate(seen, 4, stop_at_end=False)
    assert (again.tokens, again.evaluated_tokens) == (answer.tokens, len(seen.ids))


# The export


def test_the_graphs_take_and_give_what_published_ones_do(fp32: Path) -> None:
    found = {path.name: onnx.load(path).graph for path in (fp32 / "onnx").iterdir()}
    shapes = {
        name: {
            one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
            for one in [*graph.input, *graph.output]
        }
        for name, graph in found.items()
    }
    vision = shapes["vision_encoder.onnx"]
    assert vision["pixel_values"] == ["batch", "num_images", 3, 64, 64]
    assert vision["pixel_attention_mask"] == ["batch", "num_images", 64, 64]
    assert vision["image_features"][1:] == [16, 192]
    assert shapes["embed_tokens.onnx"] == {
        "input_ids": ["batch", "tokens"],
        "inputs_embeds": ["batch", "tokens", 192],
    }
    decoder = shapes["decoder_model_merged.onnx"]
    assert decoder["inputs_embeds"] == ["batch", "tokens", 192]
    assert decoder["position_ids"] == ["batch", "tokens"]
    assert decoder["logits"] == ["batch", 1, 384]
    for part in ("0.key", "0.value", "2.key", "2.value"):
        assert decoder[f"past_key_values.{part}"] == ["batch", 1, "past", 64]
        assert f"present.{part}" in decoder
    assert len(decoder) == 4 + 4 * 3


def test_an_export_holds_nothing_of_this_machine(fp32: Path) -> None:
    for graph in (fp32 / "onnx").iterdir():
        content = graph.read_bytes()
        assert b"site-packages" not in content
        assert b".py" not in content


# Refusals


def test_another_image_processor_is_refused_and_text_is_not(copy: Path) -> None:
    """Its vision encoder is not even loaded."""
    changed(copy, image_processor_type="PixtralImageProcessor")
    (copy / "onnx" / "vision_encoder.onnx").write_bytes(vision_that_cannot_be_loaded(copy))
    found = runtime(copy)
    assert found.evaluate(found.tokenize("what"), 2, stop_at_end=False).tokens
    with pytest.raises(ArtifactRefused, match="image processor PixtralImageProcessor is not"):
        found.see("<image>", [picture(64, 64)])


def vision_that_cannot_be_loaded(folder: Path) -> bytes:
    model = onnx.load(folder / "onnx" / "vision_encoder.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "onnx" / "vision_encoder.onnx").unlink(), "no vision part"),
        (lambda folder: (folder / "processor_config.json").unlink(), "no preprocessor_config"),
        (lambda folder: (folder / "processor_config.json").write_text("{}"), "no preprocessor"),
        (lambda folder: changed(folder, resample=9), "configuration: ValueError: 9 is not"),
    ],
)
def test_no_vision_that_could_be_used(
    spoil: Callable[[Path], None], reason: str, copy: Path
) -> None:
    spoil(copy)
    with pytest.raises(ArtifactRefused, match=reason):
        runtime(copy).see("<image>", [picture(64, 64)])


def test_the_older_file_of_the_processor(copy: Path, fp32: Path) -> None:
    path = copy / "processor_config.json"
    config = json.loads(path.read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(config.pop("image_processor")))
    path.write_text(json.dumps(config))
    seen = [runtime(one).see("<image>", [picture(64, 64)]) for one in (copy, fp32)]
    assert seen[0].ids == seen[1].ids


def test_features_that_are_not_as_many_as_their_places(copy: Path) -> None:
    found = runtime(changed(copy, image_seq_len=15))
    seen = found.see("<image>", [picture(64, 64)])
    with pytest.raises(ArtifactRefused, match="16 image features for 15 tokens"):
        found.evaluate(seen, 1, stop_at_end=False)


def test_a_prompt_with_more_places_than_images(fp32: Path) -> None:
    with pytest.raises(ArtifactRefused, match="1 images; the prompt has a place for 2"):
        runtime(fp32).see("<image><image>", [picture(64, 64)])
