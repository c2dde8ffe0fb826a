from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from harness.ask import tasks
from harness.errors import BadFile, UnknownName

FOLDER = Path(__file__).parents[2] / "tasks"
FILES = sorted(FOLDER.glob("*.yaml"))


def write(folder: Path, **changes: object) -> dict[str, tasks.Task]:
    data = yaml.safe_load((FOLDER / "bfcl_simple_python.yaml").read_text("utf-8")) | changes
    (folder / "mine.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    shutil.copytree(FOLDER / "prompts", folder / "prompts", dirs_exist_ok=True)
    return tasks.load(folder)


def test_a_task_is_one_file_and_is_named_after_it() -> None:
    loaded = tasks.load(FOLDER)
    assert [task.name for task in loaded.values()] == [path.stem for path in FILES]


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match="bfcl_simple_python"):
        tasks.find(tasks.load(FOLDER), "bfcl_simple")


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "blue"},
        {"prompt": ""},
        {"max_new_tokens": -1},
        {"options": {}},
        {"options": {"parser": "tool_call_json", "colour": "blue"}},
        {"kind": "other"},
        {"rows": {"available": 10, "planned": 11, "seed": 1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_wrong_file_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(BadFile, match=next(iter(changes))):
        write(tmp_path, **changes)


def test_a_wrong_option_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"mine.yaml:\d+: options.tool_calls.parser: Field required"):
        write(tmp_path, options={})


def test_the_published_prompt_is_word_for_word() -> None:
    """Spaces at line ends belong to it; an editor that strips them changes what is measured."""
    prompt = tasks.load(FOLDER)["bfcl_simple_python"].prompt
    assert hashlib.sha256(prompt.encode()).hexdigest() == (
        "f003ca80327da7fd5f919170255aa830ea6a32de035c940abf9178791cda9598"
    )


@pytest.mark.parametrize("prompt", [{"published": "nobodys"}, {"file": "smollm2_tools"}, {}])
def test_a_prompt_that_nobody_published_is_refused(tmp_path: Path, prompt: dict[str, str]) -> None:
    with pytest.raises(BadFile, match="published: NAME}, of smollm2_tools"):
        write(tmp_path, prompt=prompt)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"prompt": "Other {{ tools }}", "prompt_source": "here"}, False),
        ({"options": {"parser": "other"}}, False),
        ({"max_new_tokens": 7}, False),
        ({"rows": {"available": 400, "planned": 100, "seed": 2}}, False),
        ({"rows": {"available": 400, "planned": 50, "seed": 1}}, True),
        ({"title": "Other"}, True),
        ({"citation": "Other"}, True),
    ],
)
def test_version_hash_changes_with_whatever_could_change_a_score(
    tmp_path: Path, change: dict[str, object], same: bool
) -> None:
    before = write(tmp_path)["mine"].version_hash()
    assert (write(tmp_path, **change)["mine"].version_hash() == before) is same


@pytest.mark.parametrize("part", ["wheel_sha256", "members"])
def test_version_hash_changes_with_the_data(tmp_path: Path, part: str) -> None:
    before = write(tmp_path)["mine"]
    other = {"wheel_sha256": "0" * 64, "members": {"questions": "other.json"}}[part]
    source = before.source.model_dump() | {part: other}
    assert write(tmp_path, source=source)["mine"].version_hash() != before.version_hash()


def test_a_longer_run_only_adds_rows() -> None:
    rows = tasks.Rows(available=50, planned=5, seed=3)
    ids = [f"row_{n}" for n in range(50)]
    order = rows.order(ids)
    assert sorted(order) == sorted(ids) != order
    assert rows.order(ids[::-1]) == order
    assert order[:4] == ["row_45", "row_17", "row_9", "row_4"]  # the same on every machine
    assert tasks.Rows(available=50, planned=5, seed=4).order(ids) != order
