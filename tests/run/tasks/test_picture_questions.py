"""Rows of a hub's tables as items: what is asked, how it is scored, and rows that are not right."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from harness.ask import tasks
from harness.ask.task_options import Columns
from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile, UserError
from harness.run.images import decode
from harness.run.tasks import Item, scorers, visual_questions

NAMES = ("one.parquet", "two.parquet")
TABLES = sorted(
    name for name, task in tasks.load().items() if getattr(task.options, "columns", None)
)


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


def row(at: int, **changes: Any) -> dict[str, Any]:
    """As TextVQA has them."""
    image = {"bytes": picture(("red", "blue")[at % 2]), "path": None}
    made = {"question_id": at, "question": f"what is {at}?", "image": image, "answers": ["a", "b"]}
    return made | changes


def table(folder: Path, *shards: list[dict[str, Any]]) -> Path:
    """Row groups of two rows: what is asked for lies in some of them."""
    for name, rows in zip(NAMES, shards, strict=False):
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name, row_group_size=2)
    return folder if len(shards) > 1 else folder / NAMES[0]


def task_of(rows: int, shards: int = 2, name: str = "textvqa", **changes: Any) -> Task:
    """A task of ours on so many made-up rows; `changes` are options."""
    known, names = tasks.load()[name], list(NAMES[:shards])
    files = [{"name": one, "sha256": None, "bytes": None} for one in names]
    parts = {"files": files, "members": {"questions": names if shards > 1 else names[0]}}
    source = HubRows.model_validate(known.source.model_dump() | parts)
    options = known.options.model_copy(update=changes)
    few = tasks.Rows(available=rows, planned=rows, seed=1)
    return known.model_copy(update={"source": source, "rows": few, "options": options})


@pytest.mark.parametrize("name", TABLES)
def test_each_task_says_how_every_family_is_asked(name: str) -> None:
    task = tasks.load()[name]
    assert isinstance(task.source, HubRows) and task.source.revision
    for family in ("", *task.prompts):
        asked = task.asked_of(f"{family}model")
        assert asked.prompt.count("{{ question }}") == 1
        assert asked.prompt_source.startswith("https://github.com/")
        assert ("{{ options }}" in asked.prompt) == bool(task.options.columns.choices)
    assert task.options.scorer in scorers.FAMILIES
    assert task.asked_of(None) is task


def test_the_longest_name_of_a_family_counts() -> None:
    task = tasks.load()["chartqa"]
    older, newer = (task.asked_of(one).prompt for one in ("smolvlm-256m", "smolvlm2-256m"))
    assert ("Don\u2019t" in older, "Don't" in newer) == (True, True)


def test_a_prompt_of_a_family_changes_the_task() -> None:
    task = tasks.load()["docvqa"]
    family = task.prompts["smolvlm"].model_copy(update={"prompt": "{{ question }}?"})
    changed = task.model_copy(update={"prompts": task.prompts | {"smolvlm": family}})
    assert changed.version_hash() != task.version_hash()
    cited = task.prompts["smolvlm"].model_copy(update={"source": "elsewhere"})
    same = task.model_copy(update={"prompts": task.prompts | {"smolvlm": cited}})
    assert same.version_hash() == task.version_hash()


def test_rows_of_several_files_are_items(tmp_path: Path) -> None:
    made = [row(at) for at in range(7)]
    data = table(tmp_path, made[:5], made[5:])
    items = visual_questions.items(task_of(7), data, None)
    assert {item.id for item in items} == {str(at) for at in range(7)}
    for item in items:
        image, text = item.messages[0]["content"]
        assert image == {"type": "image"}
        assert text["text"].startswith(f"what is {item.id}?\n")
        assert item.images == (made[int(item.id)]["image"]["bytes"],)
        assert item.payload == {"answers": ["a", "b"], "scorer": "vqa_accuracy"}
    assert len({item.group for item in items}) == 2  # red ones and blue ones
    assert visual_questions.items(task_of(7), data, 3) == items[:3]
    with pytest.raises(UserError, match="7 rows"):
        visual_questions.items(task_of(7), data, 8)


def test_pictures_may_be_bare_bytes_and_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    columns = Columns(answers="answers", facets=["question"])
    data = table(tmp_path, [row(at, image=picture("red")) for at in range(3)])
    items = visual_questions.items(task_of(3, 1, columns=columns), data, None)
    assert sorted(item.id for item in items) == ["00000", "00001", "00002"]
    assert {decode(item.images[0], item.id).shape for item in items} == {(8, 8, 3)}
    assert {item.facets["question"] for item in items} == {f"what is {at}?" for at in range(3)}


def choice(at: int, **changes: Any) -> dict[str, Any]:
    """As AI2D has them: the answer is an index, written as text."""
    made = row(at, options=["cat", "dog", "cow"], answer=str(at % 3)) | changes
    return {name: made[name] for name in ("question", "image", "options", "answer")}


def test_choices_are_shown_with_letters_and_asked_by_letter(tmp_path: Path) -> None:
    data = table(tmp_path, [choice(at) for at in range(3)])
    items = visual_questions.items(task_of(3, 1, "ai2d"), data, None)
    assert {item.id: item.payload["answers"] for item in items} == {
        "00000": ["A"], "00001": ["B"], "00002": ["C"]
    }  # fmt: skip
    text = items[0].messages[0]["content"][1]["text"]
    assert "?\nA. cat\nB. dog\nC. cow\nAnswer with" in text


def test_a_row_may_have_a_rule_of_its_own(tmp_path: Path) -> None:
    made = [
        row(at, dataset=name, question_type="t", answer=["x + 1"])
        for at, name in enumerate(("HME100k", "IIIT5K"))
    ]
    items = visual_questions.items(task_of(2, 1, "ocrbench"), table(tmp_path, made), None)
    formula, words = sorted(items, key=lambda item: item.id)
    assert formula.payload["scorer"] == "formula_containment"
    assert words.payload["scorer"] == "containment"
    assert visual_questions.score(formula, "it is x+1").correct
    assert not visual_questions.score(words, "it is x+1").correct


REFERENCES = ["yes"] * 2 + ["no"] * 8


@pytest.mark.parametrize(
    ("output", "outcome", "value"),
    [
        ("No.", "right", 1.0),
        ("yes", "partly_right", 0.6),
        ("maybe", "wrong_answer", 0.0),
        ("  \n", "empty", 0.0),
        ("<|im_end|>\x00" * 999, "wrong_answer", 0.0),
        ("\u4e0d", "wrong_answer", 0.0),
    ],
)
def test_an_answer_is_worth_what_the_task_s_rule_says(
    output: str, outcome: str, value: float
) -> None:
    item = Item("1", [], {"answers": REFERENCES, "scorer": "vqa_accuracy"})
    score = visual_questions.score(item, output)
    assert (score.outcome, score.value) == (outcome, pytest.approx(value))
    assert score.correct is (value == 1)
    assert outcome in visual_questions.OUTCOMES and len(score.detail) <= 200
    assert score.by_other_rules.keys() == scorers.FAMILIES["vqa_accuracy"].keys() - {"canonical"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"image": {"bytes": None, "path": "a.png"}}, "two.parquet, row 1: no picture"),
        ({"image": {"bytes": b"", "path": None}}, "two.parquet, row 1: no picture"),
        ({"answers": []}, "two.parquet, row 1: no answers"),
        ({"answers": [" "]}, "two.parquet, row 1: no answers"),
        ({"answers": None}, "two.parquet, row 1: no answers"),
        ({"question": None}, "two.parquet, row 1: no question"),
        (
            {"question_id": 2},
            "two.parquet, row 1: question_id 2 is that of one.parquet, row 2, too",
        ),
    ],
    ids=str,
)
def test_a_row_that_is_not_right_is_named(
    changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    made = [row(at) for at in range(6)]
    made[5] |= changes
    with pytest.raises(BadFile, match=complaint):
        visual_questions.items(task_of(6), table(tmp_path, made[:4], made[4:]), None)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"answer": "3"}, "one.parquet, row 1: '3' is the place of none of 3 choices"),
        ({"answer": "cat"}, "one.parquet, row 1: 'cat' is the place of none"),
        ({"options": ["cat"]}, "one.parquet, row 1: 1 options, not 2 to 4"),
        ({"options": None}, "one.parquet, row 1: 0 options, not 2 to 4"),
    ],
    ids=str,
)
def test_a_choice_that_is_none_is_named(
    changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    data = table(tmp_path, [choice(0), choice(1, **changes)])
    with pytest.raises(BadFile, match=complaint):
        visual_questions.items(task_of(2, 1, "ai2d"), data, None)


def test_a_damaged_picture_names_its_row(tmp_path: Path) -> None:
    """It costs its item alone: test_visual_questions.py has a worker that goes on to the next."""
    damaged = row(1, image={"bytes": picture("red")[:40], "path": None})
    items = visual_questions.items(task_of(2, 1), table(tmp_path, [row(0), damaged]), None)
    item = next(item for item in items if item.id == "1")
    with pytest.raises(BadFile, match="image 1 of 1"):
        decode(item.images[0], f"1 of {item.id}")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda rows: [{k: v for k, v in one.items() if k != "answers"} for one in rows],
         "two.parquet: no column answers; it has question_id, question, image"),
        (lambda rows: [{k: v for k, v in one.items() if k != "image"} for one in rows],
         "two.parquet: no column image"),
        (lambda rows: rows[:1], "5 rows, not 6"),
    ],
    ids=["no answers", "no image", "a row less"],
)  # fmt: skip
def test_a_table_of_another_shape_is_refused(spoil: Any, complaint: str, tmp_path: Path) -> None:
    made = [row(at) for at in range(6)]
    with pytest.raises(BadFile, match=complaint):
        visual_questions.items(task_of(6), table(tmp_path, made[:4], spoil(made[4:])), None)


@pytest.mark.parametrize("raw", [b"PAR1 no", b"", None])
def test_what_is_no_parquet_file_is_named(raw: bytes | None, tmp_path: Path) -> None:
    data = table(tmp_path, [row(0), row(1)], [row(2)])
    (data / "two.parquet").unlink()
    if raw is not None:
        (data / "two.parquet").write_bytes(raw)
    with pytest.raises(BadFile, match=r"two\.parquet: "):
        visual_questions.items(task_of(3), data, None)


@pytest.mark.parametrize("changes", [{"columns": None}, {"columns": Columns(choices="answers")}])
def test_options_that_do_not_fit_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"task textvqa: .*columns"):
        visual_questions.items(task_of(1, 1, **changes), table(tmp_path, [row(0)]), None)


_READ = """
import sys
from pathlib import Path
import pyarrow
from harness.run.tasks import picture_tables
files = {"big.parquet": Path(sys.argv[1])}
rows = picture_tables.texts(files, ["question"], "image")
found = picture_tables.pictures(files, "image", rows[::100])
print(len(found), pyarrow.default_memory_pool().max_memory())
"""


def test_pictures_that_are_not_asked_for_take_no_memory(tmp_path: Path) -> None:
    """40 MB of pictures in groups of 1 MB, of which a hundredth is asked for."""
    rows = [{"question": "?", "image": {"bytes": bytes(100_000), "path": None}} for _ in range(400)]
    options: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
    path = tmp_path / "big.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=10, **options)
    assert path.stat().st_size > 40_000_000
    command = [sys.executable, "-c", _READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, peak = map(int, done.stdout.split())
    assert (found, peak < 5_000_000) == (4, True), peak
