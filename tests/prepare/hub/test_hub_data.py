"""Rows of a task from a hub: fetched once, at their commit, whatever form they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hub_server import COMMIT, Hub, Repo
from pyarrow import parquet

from harness.ask import tasks
from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile, MissingError
from harness.prepare import data
from harness.run.tasks import ifeval, multiple_choice, rows

REPO = "some-org/quiz"
ROWS = [
    {"subject": "art", "question": "Which?", "choices": ["red", "blue"], "answer": 1},
    {"subject": "law", "question": "Who?", "choices": ["judge", "cook", "tree"], "answer": 0},
]
TEXT = {
    "test.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "test.json": json.dumps(ROWS).encode(),
    "test.csv": b'\xef\xbb\xbfsubject,question\nart,Which?\nlaw,"Who,\nhe?"\n',
}


def source(*names: str, **changes: Any) -> HubRows:
    files = [{"name": name, "sha256": None, "bytes": None} for name in names]
    parts = dict(zip(("questions", "examples"), names, strict=False))
    asked = {"kind": "hub", "repo": REPO, "revision": COMMIT, "files": files, "members": parts}
    return HubRows.model_validate(asked | changes)


def task(where: HubRows, name: str = "mmlu") -> Task:
    known = tasks.load()[name]
    few = tasks.Rows(available=2, planned=2, seed=1)
    options = known.options.model_copy(update={"shots": 1})
    return known.model_copy(update={"source": where, "rows": few, "options": options})


@pytest.fixture
def quiz(hub: Hub, tmp_path: Path) -> Hub:
    """A repository of data with the rows in every form."""
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    table = (tmp_path / "rows.parquet").read_bytes()
    large = TEXT["test.jsonl"] + b"\n" * (1 << 17)  # served by the other host
    files = {**TEXT, "all/test.parquet": table, "large.jsonl": large}
    hub.repos[f"datasets/{REPO}"] = Repo({COMMIT: files}, {"main": COMMIT})
    return hub


@pytest.mark.parametrize("name", ["test.jsonl", "test.json", "all/test.parquet", "large.jsonl"])
def test_rows_are_fetched_once_and_read(quiz: Hub, name: str) -> None:
    where = source(name)
    assert data.need(where).present is False
    path = data.fetch(where)
    assert rows.read(task(where), path, "questions") == ROWS
    asked = len(quiz.seen)
    assert data.fetch(where, offline=True) == path
    assert data.need(where).present is True
    assert len(quiz.seen) == asked
    assert all("/datasets/" in one.path for one in quiz.got(name) if "resolve" in one.path)


def test_a_table_of_texts(quiz: Hub) -> None:
    found = rows.read(task(source("test.csv")), data.fetch(source("test.csv")), "questions")
    assert [row["question"] for row in found] == ["Which?", "Who,\nhe?"]


@pytest.mark.parametrize("name", ["mmlu", "mmlu_generative"])
def test_two_files_lie_in_a_folder_and_make_items(quiz: Hub, name: str) -> None:
    where = source("all/test.parquet", "test.jsonl")
    found = multiple_choice.items(task(where, name), data.fetch(where), None)
    assert [item.payload["count"] for item in found] == [2, 3]
    text = found[0].messages[0]["content"]
    assert text == (
        "The following are multiple choice questions (with answers) about art.\n\n"
        "Which?\nA. red\nB. blue\nAnswer: B\n\nWhich?\nA. red\nB. blue\nAnswer:"
    )


def test_what_another_commit_has_is_fetched_beside(quiz: Hub) -> None:
    later = "c" * 40
    changed = [ROWS[1], ROWS[0]]
    quiz.repos[f"datasets/{REPO}"].commits[later] = {"test.json": json.dumps(changed).encode()}
    old, new = source("test.json"), source("test.json", revision=later)
    assert rows.read(task(old), data.fetch(old), "questions") == ROWS
    assert rows.read(task(new), data.fetch(new), "questions") == changed
    assert rows.read(task(old), data.fetch(old, offline=True), "questions") == ROWS


def test_what_is_not_there_is_said(quiz: Hub) -> None:
    with pytest.raises(MissingError, match="offline"):
        data.fetch(source("test.json"), offline=True)
    with pytest.raises(BadFile, match=r"no file absent\.json"):
        data.fetch(source("absent.json"))
    with pytest.raises(BadFile, match="no member examples"):
        rows.read(task(source("test.json")), data.fetch(source("test.json")), "examples")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"members": {"questions": "other.json"}}, "not among the files"),
        ({"revision": "main"}, "revision"),
        ({"files": [{"name": "rows.pkl", "sha256": None, "bytes": None}]}, "is refused"),
        ({"files": [{"name": "../rows.json", "sha256": None, "bytes": None}]}, "no path inside"),
    ],
)
def test_a_source_that_cannot_be_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        source("test.json", **changes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{}"),
        ("a.json", b"[1]"),
        ("a.jsonl", b"{]"),
        ("a.csv", b"\xff\xfe"),
        ("a.parquet", b"PAR1 no"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile, match=name):
        rows.read(task(source(name)), tmp_path / name, "questions")


def test_requests_with_instructions_come_from_a_hub(hub: Hub) -> None:
    """Made-up rows, as IFEval's file has them: a row gives the arguments of its own kinds alone."""
    name = "ifeval_input_data.jsonl"
    row = {"key": 1, "prompt": "Say A.", "instruction_id_list": ["startend:quotation"]}
    written = [{**row, "kwargs": [{}]}, {**row, "key": 2, "kwargs": [{"num_words": None}]}]
    lines = "".join(json.dumps(one) + "\n" for one in written).encode()
    hub.repos["datasets/google/IFEval"] = Repo({COMMIT: {name: lines}}, {"main": COMMIT})
    known, few = tasks.load()["ifeval"], tasks.Rows(available=2, planned=2, seed=1)
    files = [{"name": name, "sha256": None, "bytes": None}]
    changes = {"revision": COMMIT, "files": files}
    where = HubRows.model_validate(known.source.model_dump() | changes)
    asked = known.model_copy(update={"source": where, "rows": few})
    found = ifeval.items(asked, data.fetch(where), None)
    assert {item.id: ifeval.score(item, '"A"').outcome for item in found} == {
        "1": "followed",
        "2": "followed",
    }
