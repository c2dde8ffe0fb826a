"""A malformed file is refused with its name, the line and the field, and never half-read."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ask import yaml_file
from harness.ask.yaml_file import Row
from harness.errors import BadFile


class Inner(Row):
    name: str
    size: int


class Outer(Row):
    title: str
    rows: list[Inner] = []


GOOD = "title: t\nrows:\n- name: a\n  size: 1\n- name: b\n  size: 2\n"

BAD = {
    "unknown field": (GOOD + "extra: 1\n", ":7: extra: "),
    "unknown field of a row": (
        GOOD.replace("  size: 2", "  size: 2\n  extra: 1"),
        ":7: rows.1.extra: ",
    ),
    "bad type": (GOOD.replace("size: 2", "size: two"), ":6: rows.1.size: "),
    "missing field": (GOOD.replace("  size: 2\n", ""), ":5: rows.1.size: Field required"),
    "missing field at the top": (GOOD.replace("title: t\n", ""), ":1: title: Field required"),
    "empty file": ("", ":1: title: Field required"),
    "a list": ("- a\n- b\n", ":1: (whole file): "),
    "a text": ("just words\n", ":1: (whole file): "),
    "tab": ("title: t\nrows:\n\t- name: a\n", ":3: "),
    "open quote": ('title: "t\nrows: []\n', ":"),
    "open bracket": ("title: t\nrows: [\n", ":"),
    "bad indentation": ("title: t\n  rows: []\n", ":2: "),
    "python tag": ("title: !!python/object/apply:os.getcwd []\n", ":1: "),
    "unknown anchor": ("title: *nothing\n", ":1: "),
    "two documents": (GOOD + "---\n" + GOOD, ":7: "),
    "control character": ("title: a\x00b\n", ":"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_yaml_names_file_line_and_field(tmp_path: Path, case: str) -> None:
    text, expected = BAD[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(BadFile) as caught:
        yaml_file.read(path, Outer)
    assert f"{path}{expected}" in str(caught.value)


def test_every_problem_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("title: 1\nrows:\n- name: a\n  size: x\n  more: 1\n")
    with pytest.raises(BadFile) as caught:
        yaml_file.read(path, Outer)
    assert len(str(caught.value).splitlines()) == 3


def test_good_yaml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    assert yaml_file.read(path, Outer).rows[1] == Inner(name="b", size=2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.yaml: cannot be read"):
        yaml_file.read(tmp_path / "none.yaml", Outer)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    with pytest.raises(BadFile, match=r"not UTF-8 text \(byte 10\)"):
        yaml_file.read(path, Outer)
