"""The training script: the data it makes, the prompt it teaches, going on after a stop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

import train_smoke_vlm as script  # noqa: E402
from smoke_vlm import exam, folder, lessons, pictures  # noqa: E402
from smoke_vlm.pictures import Asked, Split  # noqa: E402

FEW = 32


@pytest.fixture(scope="module")
def shown() -> Split:
    """A few of the train split."""
    whole = pictures.split("train")
    return Split(whole.paths[:FEW], whole.asked[:FEW], whole.rows[:FEW])


@pytest.fixture(scope="module")
def parts(shown: Split) -> pictures.Parts:
    return pictures.Parts(pictures.pixels(shown.paths), shown.asked)


@pytest.fixture(scope="module")
def words(shown: Split) -> Any:
    return folder.tokenizer(lessons.texts(shown))


@pytest.fixture
def course(shown: Split, words: Any, monkeypatch: pytest.MonkeyPatch) -> list[lessons.Lesson]:
    monkeypatch.setattr(lessons, "KEPT_OUT", 8)
    torch.manual_seed(1)
    model, images = folder.model(words), lessons.Images(shown)
    lessons.look_around(model)
    return [lessons.Sight(model, images), lessons.Answers(model, images, words)]


def test_the_splits_share_no_image() -> None:
    train, test = pictures.split("train"), pictures.split("test")
    assert (len(train.paths), len(test.paths)) == (4000, 1000)
    assert (sum(map(len, train.asked)), sum(map(len, test.asked))) == (38575, 9673)
    contents = [{Path(path).read_bytes() for path in one.paths} for one in (train, test)]
    assert not contents[0] & contents[1]


def test_an_image_is_the_sum_of_its_parts(shown: Split, parts: pictures.Parts) -> None:
    cover = parts.cover[..., None]
    again = parts.ground[:, None, None] * (1 - cover) + parts.paint[:, None, None] * cover
    assert (again - pictures.pixels(shown.paths)).abs().max() < 1.5


def test_a_new_picture_shows_the_whole_shape_in_the_paint(parts: pictures.Parts) -> None:
    shapes, paints = torch.arange(FEW), torch.arange(FEW).flip(0)
    made = parts.compose(shapes, paints, torch.Generator().manual_seed(1))
    other = parts.compose(shapes, paints, torch.Generator().manual_seed(2))
    assert not torch.equal(made, other)
    again = pictures.Parts(made, [[] for _ in range(FEW)])
    assert torch.allclose(again.paint, parts.paint[paints], atol=1)
    assert torch.allclose(again.cover.sum((1, 2)), parts.cover.sum((1, 2)), rtol=0.01)


@pytest.mark.parametrize(
    ("question", "answer", "shape", "colour"),
    [
        ("what shape is present?", "circle", "circle", None),
        ("what is the teal shape?", "triangle", "triangle", "teal"),
        ("what color is the rectangle?", "red", "rectangle", "red"),
        ("is there a circle?", "yes", "circle", None),
        ("is there a circle?", "no", None, None),
        ("is there not a circle?", "yes", None, None),
        ("is no red shape present?", "yes", None, None),
    ],
)
def test_a_label_is_what_a_question_says(
    question: str, answer: str, shape: str | None, colour: str | None
) -> None:
    asked = [Asked(question, answer)]
    for names, name in ((pictures.SHAPES, shape), (pictures.COLOURS, colour)):
        found = pictures.said(asked, names)
        assert found == (names.index(name) if name else pictures.UNKNOWN)


def test_questions_in_one_pass_are_answered_as_alone(
    shown: Split, words: Any, course: list[lessons.Lesson], tmp_path: Path
) -> None:
    """Holds the packed prompt to the one that the saved processor and generate make."""
    answers: Any = course[1]
    asked = shown.asked[0][:4]
    images = pictures.normalised(pictures.pixels(shown.paths[:1]))
    with torch.no_grad():
        packed = answers._answered(images, [asked])[0][::2]
    folder.save(answers.model[0].float(), words, tmp_path)
    candidate = exam.Candidate(tmp_path)
    for one, together in zip(asked, packed, strict=True):
        inputs = candidate.inputs(shown.paths[:1], [one.text])
        assert torch.equal(inputs["pixel_values"][0], images)
        with torch.no_grad():
            alone = candidate.model(**inputs).logits[0, -1]
        assert torch.allclose(alone, together, atol=0.02)  # the file holds fp16


def test_training_goes_on_where_it_was_killed(
    course: list[lessons.Lesson], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sight, path = course[0], tmp_path / "state"
    monkeypatch.setattr(script, "EVERY", 0)
    monkeypatch.setattr(sight, "steps", 4)
    start = {name: one.clone() for name, one in sight.state_dict().items()}
    script.teach(sight, script.State(path))
    straight = {name: one.clone() for name, one in sight.state_dict().items()}

    path.unlink()
    sight.load_state_dict(start)
    taught, loss = [], sight.loss

    def killed_in_the_third(chance: torch.Generator) -> torch.Tensor:
        taught.append(chance.initial_seed())
        if len(taught) == 3:
            raise KeyboardInterrupt
        return loss(chance)

    monkeypatch.setattr(sight, "loss", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        script.teach(sight, script.State(path))
    script.teach(sight, script.State(path))
    assert len(set(taught)) == 4
    assert all(torch.equal(one, straight[name]) for name, one in sight.state_dict().items())


def test_each_row_can_be_quantised(words: Any) -> None:
    """Q8_0 and Q4_0 take blocks of 32."""
    for name, one in folder.model(words).named_parameters():
        if one.ndim == 2:
            assert one.shape[1] % 32 == 0, name


def answer(image: int, right: bool) -> exam.Answer:
    return exam.Answer(image, Asked("is there a circle?", "yes"), "yes" if right else "no")


def test_answers_about_one_image_count_as_one_where_they_agree() -> None:
    apart = exam.share([answer(at, at % 4 > 0) for at in range(400)])
    together = exam.share([answer(at // 10, at // 10 % 4 > 0) for at in range(400)])
    few = exam.share([answer(at, at % 4 > 0) for at in range(40)])
    assert apart and together and few
    assert (apart.n, together.n, together.value) == (400, 400, 0.75)
    assert together.high - together.low == pytest.approx(few.high - few.low, rel=0.05)
    assert apart.high - apart.low < 0.5 * (together.high - together.low)


def test_all_right_is_no_more_than_as_many_images_show() -> None:
    found = exam.share([answer(at // 10, True) for at in range(400)])
    assert found and found.value == 1
    assert found.low == pytest.approx(0.912, abs=0.001)  # Wilson, 40 of 40
