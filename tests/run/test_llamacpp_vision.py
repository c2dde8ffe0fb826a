"""llama.cpp looking at pictures: the smoke VLM as GGUF, made here from its safetensors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from easy_vqa import get_test_image_paths, get_test_questions
from llama_cpp import mtmd_cpp
from llamas import new, runtime
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from workers import SETTINGS, asked

from harness import prepare
from harness.ask import models
from harness.run.chat_template import render
from harness.run.images import Pixels, decode
from harness.run.records import Applied
from harness.run.runtimes import ArtifactRefused, NoRoom, Seen, llamacpp_vision
from harness.run.runtimes.llamacpp import LlamaCpp

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"
ASKED, NEW = 40, 6


def exported(quantisation: str) -> Path:
    model = models.load()["smoke-vlm"]
    return prepare.prepare(model, model.artifact(quantisation, ("gguf",))).path


@pytest.fixture(scope="module")
def smoke() -> LlamaCpp:
    return runtime(exported("f16"))


class Library:
    """The model as transformers runs it, in fp32."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)

    def ids(self, text: str, images: list[Pixels]) -> dict[str, Any]:
        shown = [Image.fromarray(one) for one in images]
        options = {"add_special_tokens": False, "return_tensors": "pt"}
        return dict(self.processor(text=text, images=[shown], **options))

    def answer(self, inputs: dict[str, Any]) -> tuple[list[int], torch.Tensor]:
        """The greedy answer, and log-probabilities of its first token."""
        with torch.inference_mode():
            done = self.model.generate(
                **inputs,
                max_new_tokens=NEW,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        new = done.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        return new, torch.log_softmax(done.logits[0][0], -1)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(SMOKE)


Questions = list[tuple[str, Pixels, str]]


@pytest.fixture(scope="module")
def questions() -> Questions:
    """Of the test split, evenly spread: text, picture, answer."""
    rows, paths = list(zip(*get_test_questions(), strict=True)), get_test_image_paths()
    return [
        (text, decode(Path(paths[image]).read_bytes(), str(image)), answer)
        for text, answer, image in rows[:: len(rows) // ASKED][:ASKED]
    ]


def prompt(found: LlamaCpp, text: str, images: int = 1) -> str:
    parts = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": text}]
    return render(found.chat_template(), [{"role": "user", "content": parts}])


def said(found: LlamaCpp, tokens: list[int]) -> str:
    return found.detokenize(tokens).removesuffix("<end_of_utterance>").strip()


def picture(height: int, width: int) -> Pixels:
    draw = np.random.default_rng(1)
    return draw.integers(0, 255, (height, width, 3), dtype=np.uint8)


Expected = list[tuple[list[int], list[int], torch.Tensor]]


@pytest.fixture(scope="module")
def expected(smoke: LlamaCpp, library: Library, questions: Questions) -> Expected:
    """What transformers makes of each question: ids, answer, likelihood of its first token."""
    asked = [library.ids(prompt(smoke, text), [image]) for text, image, _ in questions]
    return [(one["input_ids"][0].tolist(), *library.answer(one)) for one in asked]


@pytest.mark.parametrize(
    ("quantisation", "differ", "distance"), [("f16", 0, 0.01), ("Q8_0", 1, 0.05), ("Q4_0", 3, 0.5)]
)
def test_it_sees_what_transformers_sees(
    quantisation: str, differ: int, distance: float, expected: Expected, questions: Questions
) -> None:
    """Same ids; of the answers all but `differ`; first tokens' log-probabilities near."""
    found, same, right, far = runtime(exported(quantisation)), 0, 0, []
    for (text, image, answer), (ids, tokens, likely) in zip(questions, expected, strict=True):
        seen = found.see(prompt(found, text), [image])
        assert seen.ids == ids
        answered = found.evaluate(seen, NEW, stop_at_end=True, top=5)
        same += answered.tokens == tokens
        right += said(found, answered.tokens) == answer
        here = dict(answered.first_logprobs)
        far.append(abs(here[int(likely.argmax())] - float(likely.max())))
    assert same >= ASKED - differ
    assert right >= ASKED * 0.85
    assert max(far) < distance


def test_every_question_has_the_same_ids(smoke: LlamaCpp, library: Library) -> None:
    """All 9,673, as text: what splits them is not the library's tokenizer but llama.cpp's."""
    for text in (prompt(smoke, text) for text in set(get_test_questions()[0])):
        ids = library.processor.tokenizer.encode(text, add_special_tokens=False)
        assert smoke.tokenize(text) == ids


def test_images_are_timed_apart_and_counted(smoke: LlamaCpp) -> None:
    seen = smoke.see(prompt(smoke, "what shape is in the image?"), [picture(64, 64)])
    assert seen.image_tokens == 16 == seen.ids.count(4)
    answer = smoke.evaluate(seen, 3, stop_at_end=False)
    assert answer.evaluated_tokens == len(seen.ids)
    assert answer.image_seconds and answer.prefill_seconds > 0
    assert answer.image_seconds + answer.prefill_seconds < answer.first_token_seconds
    assert smoke.evaluate([1, 2, 3], 2, stop_at_end=False).image_seconds is None


def test_a_prompt_is_forgotten_and_may_be_asked_again(smoke: LlamaCpp) -> None:
    text = prompt(smoke, "what colour is the shape?")
    one, other = (smoke.see(text, [image]) for image in (picture(64, 64), picture(20, 90)))
    first = [smoke.evaluate(seen, 4, stop_at_end=False, top=384) for seen in (one, other, one)]
    assert first[0].first_logprobs == first[2].first_logprobs != first[1].first_logprobs


@pytest.mark.parametrize("batch", [8, 16, 256])
def test_a_batch_smaller_than_the_image_changes_nothing(batch: int, smoke: LlamaCpp) -> None:
    small = runtime(exported("f16"), batch=batch, ubatch=batch)
    text, image = prompt(smoke, "what shape is in the image?", images=2), picture(64, 64)
    here, there = (
        found.evaluate(found.see(text, [image, image[::-1]]), 4, stop_at_end=False, top=5)
        for found in (small, smoke)
    )
    assert here.evaluated_tokens == there.evaluated_tokens
    assert here.first_logprobs[0][0] == there.first_logprobs[0][0]
    for (_, one), (_, other) in zip(here.first_logprobs, there.first_logprobs, strict=True):
        assert one == pytest.approx(other, abs=0.02)


def test_no_prompt_stays_in_the_log() -> None:
    found = runtime(exported("f16"))
    before = len(found._log)
    found.evaluate(found.see(prompt(found, "?"), [picture(64, 64)]), 2, stop_at_end=False)
    assert found._log[before:] == []


def test_what_the_projector_used_is_read_back() -> None:
    for on in (True, False):
        found = runtime(exported("f16"), flash_attention=on)
        applied = Applied.model_validate(found.applied())
        assert applied.settings == asked(flash_attention=on)
        assert applied.weight_buffers["mmproj"] == pytest.approx(1_929_379, rel=0.01)


def test_half_of_the_weights_are_not_given_as_all(smoke: LlamaCpp) -> None:
    assert smoke.header() == {"context_window": 2048}


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2), (500, 333)], ids=str)
def test_images_of_any_size_are_answered(size: tuple[int, int], smoke: LlamaCpp) -> None:
    seen = smoke.see(prompt(smoke, "is there a circle?"), [picture(*size)])
    assert seen.image_tokens == 16
    assert smoke.evaluate(seen, 2, stop_at_end=False).evaluated_tokens == len(seen.ids)


@pytest.mark.parametrize("size", [(1, 300), (300, 1)], ids=str)
def test_an_image_too_narrow_to_be_scaled_is_refused(size: tuple[int, int]) -> None:
    found = runtime(exported("f16"))  # the newest one hears mtmd's reason
    with pytest.raises(ArtifactRefused, match=r"an image of \d+ x \d+: .*out of range"):
        found.see(prompt(found, "is there a circle?"), [picture(*size)])


def test_marks_and_images_must_be_as_many(smoke: LlamaCpp) -> None:
    with pytest.raises(ArtifactRefused, match="1 marks for 2 images"):
        smoke.see(prompt(smoke, "?"), [picture(64, 64)] * 2)
    with pytest.raises(ArtifactRefused, match="2 marks for 1 images"):
        smoke.see(prompt(smoke, "<image>?"), [picture(64, 64)])


def test_mtmds_own_marker_in_a_text_is_text(smoke: LlamaCpp) -> None:
    marker = mtmd_cpp.mtmd_default_marker().decode()
    assert smoke.see(prompt(smoke, marker), [picture(64, 64)]).image_tokens == 16


def test_an_image_that_no_context_holds_is_refused(smoke: LlamaCpp) -> None:
    seen = smoke.see(prompt(smoke, "red " * 300), [picture(64, 64)])
    with pytest.raises(NoRoom, match="328 tokens; the context has 256"):
        smoke.evaluate(seen, 2, stop_at_end=False)
    assert smoke.evaluate([1, 2, 3], 2, stop_at_end=False).evaluated_tokens == 3


def test_a_folder_may_hold_no_mmproj(tmp_path: Path) -> None:
    shutil.copy(exported("f16") / "model.gguf", tmp_path / "any name.gguf")
    found = runtime(tmp_path)
    assert found.evaluate([1, 2, 3], 2, stop_at_end=False).evaluated_tokens == 3
    with pytest.raises(ArtifactRefused, match=r"no vision part .*: no mmproj file"):
        found.see(prompt(found, "?"), [picture(64, 64)])
    with pytest.raises(ArtifactRefused, match="no mmproj file"):
        found.evaluate(Seen([1, 2], 1, [object()]), 2, stop_at_end=False)


def test_a_projector_that_is_not_known_leaves_the_text(
    smoke: LlamaCpp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp_vision, "_MARKS", {})
    assert smoke.evaluate([1, 2, 3], 2, stop_at_end=False).evaluated_tokens == 3
    with pytest.raises(ArtifactRefused, match="image of idefics3 is not known"):
        smoke.see(prompt(smoke, "?"), [picture(64, 64)])


def test_files_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    shutil.copy(exported("f16") / "model.gguf", tmp_path / "mmproj.gguf")
    shutil.copy(exported("f16") / "mmproj.gguf", tmp_path / "model.gguf")
    found = runtime(tmp_path)
    assert found.see(prompt(found, "?"), [picture(64, 64)]).image_tokens == 16


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        ({"mmproj": 1}, "0 models and 1 mmproj"),
        ({"model": 2}, "2 models and 0 mmproj"),
        ({"model": 1, "mmproj": 2}, "1 models and 2 mmproj"),
        ({}, "0 models and 0 mmproj"),
    ],
    ids=str,
)
def test_any_other_folder_is_refused(names: dict[str, int], counted: str, tmp_path: Path) -> None:
    for name, count in names.items():
        for at in range(count):
            shutil.copy(exported("f16") / f"{name}.gguf", tmp_path / f"{name}{at}.gguf")
    with pytest.raises(ArtifactRefused, match=counted):
        new().load(str(tmp_path), SETTINGS)


def test_an_mmproj_alone_is_no_model() -> None:
    with pytest.raises(ArtifactRefused, match="CLIP cannot be used as main model"):
        new().load(str(exported("f16") / "mmproj.gguf"), SETTINGS)


def test_another_models_mmproj_is_refused(smollm2: Path, tmp_path: Path) -> None:
    shutil.copy(smollm2, tmp_path / "model.gguf")
    shutil.copy(exported("f16") / "mmproj.gguf", tmp_path)
    with pytest.raises(ArtifactRefused, match=r"n_embd = 576\) and mmproj \(n_embd = 192\)"):
        new().load(str(tmp_path), SETTINGS)
