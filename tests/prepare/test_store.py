"""What `harness.prepare.store` promises, with a file whose making is a line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BadFile, MissingError, NotEnough
from harness.prepare.store import Slot, Written, folder, quiet

CONTENT = b"x" * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CHECKOUT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


def write(part: Path) -> Written:
    part.write_bytes(CONTENT)
    return Written({"": SHA256})


def never(part: Path) -> Written:
    raise AssertionError("written although it was there")


@pytest.fixture
def slot(cache: Path) -> Slot:
    return Slot(folder("models", "some", "Q4_0") / "file.gguf", "identity 1")


def names(slot: Slot) -> set[str]:
    return {path.name for path in slot.path.parent.iterdir()} - {".lock"}


def test_a_file_is_written_once(slot: Slot) -> None:
    made = slot.fill(write, 4096, quiet)
    assert (made.path.read_bytes(), made.sha256, made.bytes) == (CONTENT, SHA256, 4096)
    assert slot.stored() == made
    assert slot.fill(never, 4096, quiet) == made
    assert names(slot) == {"file.gguf", "file.gguf.json"}


@pytest.mark.parametrize("changed", [b"y" * 4096, b"short", b""])
def test_a_changed_file_is_noticed_and_made_again(slot: Slot, changed: bytes) -> None:
    slot.fill(write, 4096, quiet)
    slot.path.write_bytes(changed)
    assert slot.stored() is None
    assert slot.fill(write, 4096, quiet).path.read_bytes() == CONTENT


def test_another_size_is_noticed_at_the_same_time_stamp(slot: Slot) -> None:
    slot.fill(write, 4096, quiet)
    stamp = slot.path.stat().st_mtime_ns
    slot.path.write_bytes(b"short")
    os.utime(slot.path, ns=(stamp, stamp))
    assert slot.stored() is None


def test_who_reads_the_old_file_goes_on_reading_it(slot: Slot) -> None:
    slot.fill(write, 4096, quiet)
    with slot.path.open("rb", buffering=0) as reader:
        newer = Slot(slot.path, "identity 2")
        newer.fill(lambda part: Written({"": str(part.write_bytes(b"new"))}), 3, quiet)
        assert reader.read() == CONTENT
    assert slot.path.read_bytes() == b"new"


def test_a_touched_file_is_hashed_once_and_kept(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = slot.fill(write, 4096, quiet)
    os.utime(slot.path, ns=(1, 1))
    assert slot.stored() == made
    monkeypatch.setattr("harness.prepare.store._sha256", never)
    assert slot.stored() == made
    assert names(slot) == {"file.gguf", "file.gguf.json"}


def test_another_identity_is_another_file(slot: Slot) -> None:
    slot.fill(write, 4096, quiet)
    assert Slot(slot.path, "identity 2").stored() is None


@pytest.mark.parametrize("record", ["", "{", "[]", '{"identity": "identity 1"}'])
def test_a_broken_record_is_no_record(slot: Slot, record: str) -> None:
    slot.fill(write, 4096, quiet)
    slot.path.with_name("file.gguf.json").write_text(record)
    assert slot.stored() is None


def write_folder(part: Path) -> Written:
    (part / "deep").mkdir(parents=True)
    (part / "deep" / "b").write_bytes(b"")
    (part / "a").write_bytes(CONTENT)
    return Written()


@pytest.fixture
def pair(cache: Path) -> Slot:
    slot = Slot(folder("models", "some", "onnx-int4") / "parts", "identity 1")
    slot.fill(write_folder, 4096, quiet)
    return slot


def test_a_folder_is_one_artifact(pair: Slot) -> None:
    lines = f"{SHA256}  a\n{hashlib.sha256(b'').hexdigest()}  deep/b\n"
    made = pair.fill(never, 4096, quiet)
    assert (made.path, made.bytes) == (pair.path, 4096)
    assert made.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert names(pair) == {"parts", "parts.json"}


def test_what_the_source_knows_is_not_read_again_and_is_recorded(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = Slot(folder("models", "some", "onnx-int4") / "parts", "identity 1")
    known = Written({"a": SHA256, "deep/b": hashlib.sha256(b"").hexdigest()}, "some commit")
    with monkeypatch.context() as patch:
        patch.setattr("harness.prepare.store._sha256", never)
        made = slot.fill(lambda part: (write_folder(part), known)[1], 4096, quiet)
        assert (made.revision, slot.stored()) == ("some commit", made)
    os.utime(slot.path / "a", ns=(1, 1))
    assert slot.stored() == made  # noted again, with all that was known
    assert slot.stored() == made


CHANGES: dict[str, Callable[[Path], object]] = {
    "other content": lambda path: (path / "a").write_bytes(b"y" * 4096),
    "one more": lambda path: (path / "c").write_bytes(b""),
    "one less": lambda path: (path / "deep" / "b").unlink(),
    "another name": lambda path: (path / "a").rename(path / "deep" / "a"),
    "a file in its place": lambda path: (shutil.rmtree(path), path.write_bytes(CONTENT)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_folder_that_changed_is_noticed_and_made_again(
    pair: Slot, change: Callable[[Path], object]
) -> None:
    made = pair.stored()
    change(pair.path)
    assert pair.stored() is None
    assert pair.fill(write_folder, 4096, quiet) == made
    assert names(pair) == {"parts", "parts.json"}


def test_a_touched_folder_is_hashed_once_and_kept(
    pair: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pair.stored()
    os.utime(pair.path / "a", ns=(1, 1))
    assert pair.stored() == made
    monkeypatch.setattr("harness.prepare.store._sha256", never)
    assert pair.stored() == made


def test_the_record_can_be_read_by_whom_the_file_can(slot: Slot) -> None:
    slot.fill(write, 4096, quiet)
    record = slot.path.with_name("file.gguf.json")
    content = json.loads(record.read_text())
    assert content["files"][0]["sha256"] == SHA256
    assert content.keys() == {"identity", "files"}
    assert record.stat().st_mode == slot.path.stat().st_mode


def test_too_little_room_is_said_before_anything_is_written(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, 3 << 30))
    with pytest.raises(NotEnough, match=r"4\.00 GiB needed, 3\.00 GiB there"):
        slot.fill(never, 4 << 30, quiet)
    assert names(slot) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up_is_cleaned(slot: Slot) -> None:
    def fill_up(part: Path) -> Written:
        part.write_bytes(CONTENT)
        Path("/dev/full").write_bytes(CONTENT)
        raise AssertionError("not full")

    with pytest.raises(NotEnough, match="filled up on the way"):
        slot.fill(fill_up, 4096, quiet)
    assert names(slot) == set()


def test_a_used_up_quota_is_a_full_disk(slot: Slot) -> None:
    def quota(part: Path) -> Written:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with pytest.raises(NotEnough):
        slot.fill(quota, 4096, quiet)


def test_an_interrupt_leaves_nothing(slot: Slot) -> None:
    def interrupted(part: Path) -> Written:
        part.write_bytes(CONTENT)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slot.fill(interrupted, 4096, quiet)
    assert names(slot) == set()


def test_a_cache_that_cannot_be_written_says_which_variable_moves_it(cache: Path) -> None:
    cache.parent.write_text("a file where the cache should be")
    slot = Slot(folder("models") / "file", "identity 1")
    assert slot.stored() is None
    with pytest.raises(MissingError, match="XDG_CACHE_HOME"):
        slot.fill(never, 4096, quiet)


@pytest.mark.parametrize("name", ["..", "", ".", "a/b", "/etc"])
def test_a_name_cannot_lead_out_of_the_cache(cache: Path, name: str) -> None:
    with pytest.raises(BadFile):
        folder("models", name)


CHILD = """
import hashlib, os, sys, time
from pathlib import Path
from harness.prepare.store import Slot, Written, quiet

def write(part):
    with part.open("wb") as file:
        for _ in range(8):
            file.write(b"x" * 512)
            file.flush()
            time.sleep(0.05)
            if "die" in sys.argv:
                os.kill(os.getpid(), 9)
    print("wrote")
    return Written({"": hashlib.sha256(b"x" * 4096).hexdigest()})

made = Slot(Path(sys.argv[1]), "identity 1").fill(write, 4096, quiet)
print(made.sha256, made.bytes)
"""


def child(slot: Slot, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(slot.path), *words]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_leaves_no_file_and_its_rest_goes_with_the_next(slot: Slot) -> None:
    with child(slot, "die") as dying:
        assert dying.wait(30) == -signal.SIGKILL
    (left,) = names(slot)
    assert left.startswith(".part-")
    assert slot.stored() is None
    slot.fill(write, 4096, quiet)
    assert names(slot) == {"file.gguf", "file.gguf.json"}


def test_processes_that_want_the_same_file_write_it_once(slot: Slot) -> None:
    children = [child(slot) for _ in range(4)]
    said = [process.communicate(timeout=30)[0].splitlines() for process in children]
    assert [lines[-1] for lines in said] == [f"{SHA256} 4096"] * 4
    assert sum("wrote" in lines for lines in said) == 1
    assert names(slot) == {"file.gguf", "file.gguf.json"}
