"""The tasks on pictures of a hub, from download to record: made-up rows in each data set's shape.

The pictures and questions are easy-VQA's, which the smoke VLM knows; the answers are true. What is
asked without more words it answers right, so that the way of an answer to its score is seen.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import yaml
from easy_vqa import get_test_image_paths, get_test_questions
from hub_server import Hub, Repo
from pyarrow import parquet

from harness import cli
from harness.ask import tasks
from harness.check import runs
from harness.check.surroundings import Surroundings
from harness.errors import BadFile
from harness.prepare import data
from harness.run import store
from harness.run.records import ItemData, Run
from harness.run.rescore import rescored
from harness.run.tasks import Item, visual_questions

ROOT = Path(__file__).parents[3]
ROWS = 4
RUN = ["run", "--model", "smoke-vlm", "--runtime", "llama.cpp", "--quantisation", "f16"]
RUN += ["--limit", str(ROWS)]
Asked = tuple[str, str, bytes]


def asked() -> list[Asked]:
    """Question, answer and picture of the first row of each of some pictures."""
    questions, answers, ids = get_test_questions()
    paths = get_test_image_paths()
    firsts = [ids.index(one) for one in sorted(set(ids))[:ROWS]]
    return [(questions[at], answers[at], Path(paths[ids[at]]).read_bytes()) for at in firsts]


def textvqa(at: int, one: Asked) -> dict[str, Any]:
    row = {"image_id": f"p{at}", "question_id": 34600 + at, "answers": [one[1]] * 3 + ["?"] * 7}
    return row | {"ocr_tokens": [], "set_name": "val", "image_width": 64}


def docvqa(at: int, one: Asked) -> dict[str, Any]:
    row = {"questionId": str(49150 + at), "question_types": ["form"], "docId": at}
    return row | {"answers": [one[1], one[1].upper()], "data_split": "val"}


def chartqa(at: int, one: Asked) -> dict[str, Any]:
    return {"type": ("human_test", "augmented_test")[at % 2], "answer": one[1]}


def ocrbench(at: int, one: Asked) -> dict[str, Any]:
    return {"dataset": "HME100k", "question_type": "Doc-oriented VQA", "answer": [one[1]]}


def mmstar(at: int, one: Asked) -> dict[str, Any]:
    row = {"index": at, "answer": "A", "category": "math", "l2_category": "geometry"}
    return row | {"image": one[2], "meta_info": {"source": "x", "split": "val"}}


def ai2d(at: int, one: Asked) -> dict[str, Any]:
    return {"options": [one[1], "cat", "dog", "cow"], "answer": "0"}


def realworldqa(at: int, one: Asked) -> dict[str, Any]:
    return {"answer": one[1]}


SHAPES = {
    make.__name__: make for make in (textvqa, docvqa, chartqa, ocrbench, mmstar, ai2d, realworldqa)
}


def written(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer, row_group_size=1)
    return buffer.getvalue()


def made(name: str) -> dict[str, bytes]:
    """The files that the task lists, with rows in turn."""
    rows = [
        {"question": one[0], "image": {"bytes": one[2], "path": f"{at}.png"}}
        | SHAPES[name](at, one)
        for at, one in enumerate(asked())
    ]
    source = tasks.load(ROOT / "tasks")[name].source
    assert isinstance(source, tasks.HubRows)
    names = source.names("questions")
    count = min(len(names), ROWS)
    shards = [rows[at::count] for at in range(count)] + [[]] * (len(names) - count)
    return {one: written(shard or rows[:0]) for one, shard in zip(names, shards, strict=True)}


@pytest.fixture
def checkout(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tasks as they are but for the size of the data; the hub has them at their commits."""
    folder = tmp_path / "checkout"
    (folder / "tasks").mkdir(parents=True)
    for name in ("claims", "models", "models.yaml", "pages"):
        (folder / name).symlink_to(ROOT / name)
    for name in SHAPES:
        task = yaml.safe_load((ROOT / "tasks" / f"{name}.yaml").read_text("utf-8"))
        source, files = task["source"], made(name)
        if len(source["files"]) > ROWS:  # of six files the last two would have no row
            source["files"] = source["files"][:ROWS]
            source["members"]["questions"] = source["members"]["questions"][:ROWS]
        for file in source["files"]:
            file |= {"sha256": None, "bytes": None}
        task["rows"] |= {"available": ROWS, "planned": ROWS}
        (folder / "tasks" / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
        hub.repos[f"datasets/{source['repo']}"] = Repo({source["revision"]: files}, {})
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the worker
    monkeypatch.chdir(folder)
    return folder


def stored(checkout: Path, name: str) -> tuple[Path, Run, list[ItemData]]:
    (found,) = [one for one in store.runs(checkout / "results") if one[1].cell.task == name]
    samples = store.read_samples(found[0])
    return *found, [one.data for one in samples if isinstance(one.data, ItemData)]


def items_of(name: str) -> list[Item]:
    task = tasks.load()[name]
    return visual_questions.items(task, data.fetch(task.source), None)


@pytest.mark.parametrize("name", SHAPES)
def test_the_true_answer_to_each_row_is_right(checkout: Path, name: str) -> None:
    answers = {picture: answer for _, answer, picture in asked()}
    items = items_of(name)
    assert len(items) == ROWS
    for item in items:
        true = "A" if name in ("mmstar", "ai2d") else answers[item.images[0]]
        score = visual_questions.score(item, true)
        # Three of ten say so: the score of whom the other two agree with.
        value = 0.9 if name == "textvqa" else 1
        assert score.value == pytest.approx(value), (item, score)
        assert visual_questions.score(item, "none of it").value == 0
    wanted = {"chartqa": 2, "ocrbench": 1, "mmstar": 1}
    assert len({str(item.facets) for item in items if item.facets}) == wanted.get(name, 0)


def spoil(hub: Hub, name: str) -> None:
    """Leaves the first row of the task's second file without an answer."""
    source = tasks.load()[name].source
    assert isinstance(source, tasks.HubRows) and source.revision
    files = hub.repos[f"datasets/{source.repo}"].commits[source.revision]
    second = source.names("questions")[1]
    rows = parquet.read_table(io.BytesIO(files[second])).to_pylist()
    rows[0]["answers"] = None
    files[second] = written(rows)


def test_tasks_go_from_the_hub_to_a_record(
    checkout: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each can be scored again without a model, and nothing is fetched twice.

    A row that is not right is named before a model is asked anything.
    """
    spoil(hub, "docvqa")
    for name in ("textvqa", "ocrbench", "ai2d"):
        assert cli.main([*RUN, "--task", name]) == 0, capsys.readouterr()
        folder, run, items = stored(checkout, name)
        assert run.valid and len(items) == ROWS
        assert runs.check(folder, Surroundings(checkout / "results")) == []
        assert len({item.group for item in items}) == ROWS
        assert all(item.image_tokens and item.by_other_rules for item in items)
        task = tasks.load()[name].asked_of("smoke-vlm")
        seen = len(hub.seen)
        again = rescored(task, data.fetch(task.source, offline=True), store.read_samples(folder))
        assert len(hub.seen) == seen
        assert [(one.outcome, one.value) for one in items] == [
            (score.outcome, score.value) for _, score in again
        ]
        if name == "ocrbench":  # bare questions, which the model knows
            assert sum(item.correct for item in items) >= ROWS - 1
    assert cli.main([*RUN, "--task", "docvqa"]) == 3
    assert "DocVQA/validation-00001-of-00006.parquet, row 0: no answers" in capsys.readouterr().err
    assert not [run for _, run in store.runs(checkout / "results") if run.cell.task == "docvqa"]


def test_data_of_another_commit_are_refused(checkout: Path, hub: Hub) -> None:
    source = tasks.load()["ocrbench"].source
    hub.claimed_commit = "d" * 40
    with pytest.raises(BadFile, match=f"should be at commit {source.revision}, is at d+"):
        data.fetch(source)
