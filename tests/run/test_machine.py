from __future__ import annotations

import getpass
import json
import re
import socket
from pathlib import Path

import pytest

from harness.run import machine
from harness.run.machine import describe, scrub

HOST, USER, HOME = "annas-laptop", "anna", "/home/anna"


@pytest.fixture
def anna(monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone whose names are worth hiding."""
    monkeypatch.setattr(socket, "gethostname", lambda: f"{HOST}.example.org")
    monkeypatch.setattr(getpass, "getuser", lambda: USER)
    monkeypatch.setattr(Path, "home", lambda: Path(HOME))
    monkeypatch.setenv("XDG_CACHE_HOME", f"{HOME}/.cache")


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("/home/anna/.cache/claimbench/models/m.gguf", "CACHE/models/m.gguf"),
        ("/home/anna/work/x.py", "HOME/work/x.py"),
        ('File "/opt/py thon/lib/x.py", line 3', 'File "py thon/lib/x.py", line 3'),
        ("cannot open /data/models/m.gguf", "cannot open m.gguf"),
        ("cannot open /m.gguf", "cannot open m.gguf"),
        ("PYTHONPATH=/srv/a:/srv/b/c", "PYTHONPATH=a:c"),
        ("file:///srv/a/b.gguf", "b.gguf"),
        ("//srv/a/b.gguf", "b.gguf"),
        ("--model=/srv/a/b.gguf", "--model=b.gguf"),
        ("(/srv/~old/b.gguf)", "(b.gguf)"),
        ("on annas-laptop as anna", "on NAME as NAME"),
        ("on annas-laptop.example.org", "on NAME"),
        # What stays: words of a runtime, of a model and of the web.
        ("12 tokens/s and/or N/A", "12 tokens/s and/or N/A"),
        ("<tool_call>[]</tool_call>", "<tool_call>[]</tool_call>"),
        ("see https://example.com/a/b", "see https://example.com/a/b"),
        ("hanna and annals", "hanna and annals"),
        ("1 / 2", "1 / 2"),
        ("", ""),
    ],
)
def test_scrub(text: str, scrubbed: str, anna: None) -> None:
    assert scrub(text) == scrubbed


def test_a_user_who_lives_in_the_root_folder_spoils_no_text(
    anna: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    monkeypatch.chdir("/")
    assert scrub("12 tokens/s; /opt/a/b.py; </s>") == "12 tokens/s; b.py; </s>"


def test_a_user_without_a_name_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert scrub("a word") == "a word"


def test_a_description_names_no_owner(tmp_path: Path) -> None:
    found = describe(tmp_path)
    words = re.findall(r"[\w.-]+", found.model_dump_json())
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words
    assert "/" not in "".join([found.id, found.kernel, found.python, found.system])
    assert str(Path.home()) not in found.model_dump_json()
    assert re.fullmatch(r"[a-z0-9-]+", found.id)


def test_a_checkout_keeps_its_id_and_another_has_its_own(tmp_path: Path) -> None:
    ids = {describe(tmp_path / name).id for name in ("a", "a", "b", "c", "d")}
    assert len(ids) >= 3  # four digits may meet once


def test_the_id_is_on_disk_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an id would end every later run: it is written beside and moved."""
    written = []
    whole = machine.store.write_whole
    monkeypatch.setattr(
        machine.store, "write_whole", lambda path, data: (written.append(path), whole(path, data))
    )
    first = describe(tmp_path / "results").id
    assert written == [tmp_path / "results" / ".machine"]
    assert first.endswith(json.loads((tmp_path / "results" / ".machine").read_text()))


def test_figures_are_this_machines(tmp_path: Path) -> None:
    found = describe(tmp_path)
    assert 1 <= found.cores <= found.threads
    assert found.memory_bytes > 1 << 28
