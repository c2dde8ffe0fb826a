from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.publish import folder

OLD = {"index.html": b"old", "a/only-old.txt": b"old"}
NEW = {"index.html": b"new", "b/only-new.txt": b"new"}


def tree(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def test_stale_files_go_away(tmp_path: Path) -> None:
    out = tmp_path / "site"
    folder.replace(out, OLD.items())
    written = folder.replace(out, NEW.items())
    assert {name: body for name, body in tree(out).items() if name != folder.MANIFEST} == NEW
    assert sorted(written) == sorted(path for path in out.rglob("*") if path.is_file())
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_manifest_holds_every_digest(tmp_path: Path) -> None:
    folder.replace(tmp_path / "site", NEW.items())
    lines = (tmp_path / "site" / folder.MANIFEST).read_text().splitlines()
    expected = [f"{hashlib.sha256(body).hexdigest()}  {name}" for name, body in NEW.items()]
    assert sorted(lines) == sorted(expected)


@pytest.mark.parametrize("name", ["notes.txt", "a/notes.txt", ".git/config"])
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, name: str) -> None:
    out = tmp_path / "site"
    folder.replace(out, OLD.items())
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = tree(out)
    with pytest.raises(UserError, match="which publish did not write"):
        folder.replace(out, NEW.items())
    assert tree(out) == before


def test_an_empty_folder_may_be_filled_and_a_file_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder.replace(tmp_path / "empty", NEW.items())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        folder.replace(tmp_path / "file", NEW.items())


def test_without_an_exchange_of_folders_two_renames_do(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(folder, "_exchange", lambda one, other: False)
    folder.replace(tmp_path / "site", OLD.items())
    folder.replace(tmp_path / "site", NEW.items())
    assert (tmp_path / "site" / "index.html").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no exchange of folders here")
def test_two_folders_trade_names(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    assert folder._exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "name").read_text() == "other"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no exchange of folders here")
def test_there_is_no_moment_without_a_site(tmp_path, monkeypatch) -> None:
    """A rename would be such a moment: the old folder away, the new one not yet there."""
    folder.replace(tmp_path / "site", OLD.items())
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("renamed, not exchanged"))
    folder.replace(tmp_path / "site", NEW.items())
    assert (tmp_path / "site" / "index.html").read_bytes() == b"new"


def test_what_a_killed_writer_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".site.new").mkdir()
    (tmp_path / ".site.new" / "half.html").write_text("half")
    folder.replace(tmp_path / "site", NEW.items())
    assert "half.html" not in tree(tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_write_that_fails_leaves_the_old_site(tmp_path, monkeypatch) -> None:
    out = tmp_path / "site"
    folder.replace(out, OLD.items())
    before = tree(out)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        folder.replace(out, NEW.items())
    assert tree(out) == before


WRITER = """
import sys
from pathlib import Path
from harness.publish import folder
at = 0
while True:
    at += 1
    body = str(at).encode()
    folder.replace(Path(sys.argv[1]), {f"{name}.txt": body for name in range(60)}.items())
"""


def test_killed_at_any_moment_the_site_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "site"
    for wait in (0.0, 0.003, 0.011, 0.019, 0.027, 0.041):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(out)])
        while not out.exists():
            assert writer.poll() is None, "the writer ended by itself"
            time.sleep(0.001)
        time.sleep(0.3 + wait)
        assert writer.poll() is None, "the writer ended by itself"
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        found = tree(out)
        assert len(found) == 61
        assert len({body for name, body in found.items() if name != folder.MANIFEST}) == 1
