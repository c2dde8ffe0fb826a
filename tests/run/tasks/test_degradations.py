"""The degradations: same bytes from the same seed, worse with each severity, all asked the same."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import BadFile, UserError
from harness.prepare import data
from harness.run.images import decode
from harness.run.tasks import Item, degraded_questions, visual_questions
from harness.run.tasks.degradations import (
    CLEAN,
    CONDITIONS,
    DEGRADATIONS,
    SEVERITIES,
    degraded,
    under_each,
)
from harness.run.tasks.made_documents import DOCUMENTS

NAMES = pytest.mark.parametrize("name", DEGRADATIONS)
# Of receipt 0 under severity 3, with Pillow 13.0.0 on x86-64: what this project was built with.
DIGESTS = {
    "blur": "43ff0b6079afedd5",
    "jpeg": "28ce84e190c890cf",
    "noise": "b406906aacded3cb",
    "low light": "a3307f02d414ceff",
    "skew": "8c6b8fd513092842",
    "low resolution": "d7c6ead39958729d",
}


@pytest.fixture(scope="module")
def task() -> Task:
    return tasks.load()["easy_vqa_degraded"]


@pytest.fixture(scope="module")
def wheel(task: Task) -> Path:
    return data.fetch(task.source)


@pytest.fixture(scope="module")
def coloured(task: Task, wheel: Path) -> list[Image.Image]:
    asked = visual_questions.items(tasks.load()["easy_vqa"], wheel, 20)
    return [Image.fromarray(decode(item.images[0], item.id)) for item in asked]


@pytest.fixture(scope="module")
def grey() -> list[Image.Image]:
    return [make(random.Random(f"{at}")).image for make in DOCUMENTS.values() for at in range(3)]


def sha(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()


def apart(clean: Image.Image, other: Image.Image) -> float:
    """Root mean square of the grey levels between a picture and the middle of another one."""
    left, top = (other.width - clean.width) // 2, (other.height - clean.height) // 2
    middle = other.crop((left, top, left + clean.width, top + clean.height))
    return float(np.sqrt(np.mean((np.asarray(clean, float) - np.asarray(middle, float)) ** 2)))


def test_same_pixels_from_the_same_seed_in_another_process() -> None:
    script = (
        "import random, sys; sys.path.insert(0, 'tests/run/tasks')\n"
        "from test_degradations import *\n"
        "page = DOCUMENTS['receipt'](random.Random('0')).image\n"
        "for name in DEGRADATIONS: print(name, sha(degraded(page, name, 3, '1'))[:16], sep=':')\n"
    )
    root = Path(__file__).parents[3]
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root
    )
    found = dict(line.split(":") for line in told.stdout.splitlines())
    page = DOCUMENTS["receipt"](random.Random("0")).image
    assert found == {name: sha(degraded(page, name, 3, "1"))[:16] for name in DEGRADATIONS}
    assert found == DIGESTS


@NAMES
@pytest.mark.parametrize("kind", ["coloured", "grey"])
def test_each_severity_is_worse_than_the_one_before(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    pictures = request.getfixturevalue(kind)
    means = [
        np.mean([apart(one, degraded(one, name, severity, "1")) for one in pictures])
        for severity in SEVERITIES
    ]
    assert means[0] > 0
    assert all(one < other for one, other in pairwise(means)), means


@NAMES
def test_a_picture_stays_what_it_is(name: str, coloured: list[Image.Image]) -> None:
    """In mode, and in size but for skew, which cuts nothing off. What was given is as it was."""
    one = coloured[0]
    before = sha(one)
    found = degraded(one, name, 5, "1")
    assert found.mode == "RGB" and sha(one) == before
    assert found.size == one.size or (name == "skew" and found.width > one.width)


@pytest.mark.parametrize("name", ["noise", "low light", "skew"])
def test_another_seed_is_another_picture(name: str, coloured: list[Image.Image]) -> None:
    assert len({sha(degraded(coloured[0], name, 3, str(seed))) for seed in range(9)}) > 1


def test_noise_is_as_strong_as_the_table_says() -> None:
    page = Image.new("L", (400, 400), 128)
    noise = np.asarray(degraded(page, "noise", 2, "1"), float) - 128
    assert abs(noise.mean()) < 0.5
    assert noise.std() == pytest.approx(31, rel=0.02)


def test_five_stops_leave_white_at_seven() -> None:
    dark = np.asarray(degraded(Image.new("L", (200, 200), 255), "low light", 5, "1"), float)
    assert dark.mean() == pytest.approx(7, abs=0.1)
    assert dark.std() == pytest.approx(2, rel=0.1)


def test_each_question_is_put_under_every_condition(task: Task, wheel: Path) -> None:
    items = degraded_questions.items(task, wheel, 62)
    assert len(CONDITIONS) == 31 and len({item.id for item in items}) == 62
    for versions in (items[:31], items[31:]):
        assert len({item.group for item in versions}) == 1
        assert all(item.messages == versions[0].messages for item in versions)
        assert all(item.payload == versions[0].payload for item in versions)
        assert len({item.images for item in versions}) == 31
        assert [item.facets for item in versions] == [
            {"severity": "0"},
            *({"severity": str(at), "degradation": name} for name, at in CONDITIONS[1:]),
        ]


def test_the_clean_version_is_the_question_of_easy_vqa(task: Task, wheel: Path) -> None:
    known = {one.id: one for one in visual_questions.questions(task, wheel)}
    items = degraded_questions.items(task, wheel, task.rows.available)
    clean = [item for item in items if item.id.endswith(f"-{CLEAN}-0")]
    assert len(items) == task.rows.available == 31 * len(clean)
    for item in clean:
        own = known[item.id.removesuffix(f"-{CLEAN}-0")]
        assert (item.images, item.messages, item.group) == (own.images, own.messages, own.group)
        assert item.payload["answer"] not in ("yes", "no")
    assert degraded_questions.items(task, wheel, 5) == items[:5]


def test_answers_are_scored_as_easy_vqas(task: Task, wheel: Path) -> None:
    item = degraded_questions.items(task, wheel, 6)[5]
    assert degraded_questions.score(item, item.payload["answer"].upper()).correct
    assert degraded_questions.score(item, "blurred").outcome == "not_an_answer"


def test_what_cannot_be_asked_is_refused(task: Task, wheel: Path) -> None:
    with pytest.raises(UserError, match="6200 rows"):
        degraded_questions.items(task, wheel, 6201)
    with pytest.raises(BadFile, match="image odd"):
        list(under_each([Item("odd", [], {}, (b"no picture",))], 1))


def test_a_colourless_picture_is_kept_in_one_channel() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(file, "PNG")
    worse = list(under_each([Item("one", [], {}, (file.getvalue(),))], 1))[1]
    assert Image.open(io.BytesIO(worse.images[0])).mode == "L"
