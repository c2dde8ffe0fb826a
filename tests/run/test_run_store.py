from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import BadFile, NotEnough
from harness.plan.cells import Cell
from harness.run import store
from harness.run.records import SCHEMA_VERSION, HarnessRecord, Machine, Run, Sample
from harness.run.store import Journal, read_run, read_samples, runs

KEY = "a" * 64
STORED = Path(__file__).parent / "stored"


def sample(index: int, detail: str = "") -> Sample:
    return Sample(index=index, started="", seconds=1.0, cause="crashed", detail=detail)


def run(samples: list[Sample], **changes: object) -> Run:
    found = Run(
        id="20260101T000000Z_speed_m",
        key=KEY,
        machine="m",
        session="s",
        arm="measured",
        cell=Cell(workload="speed"),
        settings=None,
        shape=None,
        planned=len(samples),
        samples=len(samples),
        failed=0,
        started="",
        ended="",
        harness=HarnessRecord(version="0", commit=None, dirty=None),
        runtime=None,
        artifact=None,
        task=None,
        gates=[],
        warnings=[],
        samples_sha256=store.hashlib.sha256(store.samples_bytes(samples)).hexdigest(),
    )
    return found.model_copy(update=changes)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """With two samples on disk."""
    found = Journal(tmp_path / "machine", KEY)
    for index in range(2):
        found.append(sample(index, "ÄÖ\u2028\n"))
    return found


def finish(journal: Journal) -> Path:
    done = run(journal.samples)
    journal.seal(done)
    return journal.publish(done)


def lines(journal: Journal) -> Path:
    return journal.folder / "samples.jsonl"


def test_a_journal_opened_again_holds_what_was_appended(journal: Journal, tmp_path: Path) -> None:
    again = Journal(tmp_path / "machine", KEY)
    assert again.samples == journal.samples
    again.append(sample(2))
    assert len(Journal(tmp_path / "machine", KEY).samples) == 3


def test_a_line_torn_anywhere_is_dropped_and_the_journal_goes_on(
    journal: Journal, tmp_path: Path
) -> None:
    whole = lines(journal).read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        lines(journal).write_bytes(whole[:end])
        again = Journal(tmp_path / "machine", KEY)
        assert again.samples == journal.samples[:1]
        assert lines(journal).read_bytes() == whole[:first]
    again.append(sample(1))
    assert len(Journal(tmp_path / "machine", KEY).samples) == 2


def test_a_damaged_line_in_the_middle_is_an_error_and_not_a_loss(
    journal: Journal, tmp_path: Path
) -> None:
    whole = lines(journal).read_bytes()
    lines(journal).write_bytes(whole.replace(b'"index": 0', b'"index": x'))
    with pytest.raises(BadFile, match=r"samples\.jsonl: a sample"):
        Journal(tmp_path / "machine", KEY)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system of its own (root)")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_journal_as_it_was(small_disk: Path) -> None:
    journal = Journal(small_disk / "machine", KEY)
    journal.append(sample(0))
    before = lines(journal).read_bytes()
    with pytest.raises(NotEnough, match="not enough disk"):
        journal.append(sample(1, "x" * 100_000))
    assert lines(journal).read_bytes() == before
    assert len(journal.samples) == 1
    journal.append(sample(1))
    assert len(Journal(small_disk / "machine", KEY).samples) == 2


def test_a_disk_full_from_the_first_byte_is_not_enough_disk(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(NotEnough):
        Journal(small_disk / "machine", KEY).append(sample(0))


def test_a_full_disk_keeps_a_whole_file_and_leaves_no_other(small_disk: Path) -> None:
    path = small_disk / "run.json"
    store.write_whole(path, b"before")
    fill(small_disk)
    with pytest.raises(NotEnough):
        store.write_whole(path, b"x" * 100_000)
    assert path.read_bytes() == b"before"
    assert {one.name for one in small_disk.iterdir()} == {"run.json", "filler"}


def test_a_run_that_does_not_fit_stays_a_journal(small_disk: Path) -> None:
    journal = Journal(small_disk / "machine", KEY)
    journal.append(sample(0))
    fill(small_disk)
    with pytest.raises(NotEnough):
        journal.seal(run(journal.samples, warnings=["x" * 10_000]))
    assert list(runs(small_disk)) == []
    assert Journal(small_disk / "machine", KEY).samples == journal.samples


def fill(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_finished_run_appears_in_one_rename(journal: Journal, tmp_path: Path) -> None:
    done = run(journal.samples)
    seen = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        seen.append((list(runs(tmp_path)), sorted(one.name for one in self.iterdir())))
        return rename(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", watched)
        journal.seal(done)
        target = journal.publish(done)
    assert seen == [([], ["run.json", "samples.jsonl"])]
    assert list(runs(tmp_path)) == [(target, done)]
    assert not journal.folder.exists()
    assert read_samples(target) == journal.samples


def test_what_a_killed_writer_left_does_not_travel_with_the_run(journal: Journal) -> None:
    (journal.folder / ".run.json.4711.tmp").write_text("{")
    target = finish(journal)
    assert sorted(one.name for one in target.iterdir()) == ["run.json", "samples.jsonl"]


def test_runs_under_way_and_temporary_files_are_no_results(
    journal: Journal, tmp_path: Path
) -> None:
    (journal.folder / "run.json").write_bytes(store.to_json(run(journal.samples)))
    store.write_whole(tmp_path / "machine" / ".run.json.4711.tmp", b"{")
    assert list(runs(tmp_path)) == []


@pytest.mark.parametrize("change", ["more", "less", "other"])
def test_samples_that_do_not_match_their_run_are_refused(change: str, journal: Journal) -> None:
    folder = finish(journal)
    path = folder / "samples.jsonl"
    raw = path.read_bytes()
    changed = {"more": raw + raw, "less": raw[:-1], "other": raw.replace(b"1.0", b"1.1")}
    path.write_bytes(changed[change])
    with pytest.raises(BadFile, match="samples_sha256"):
        read_samples(folder)


def test_files_that_are_no_records_name_file_and_field(journal: Journal, tmp_path: Path) -> None:
    folder = finish(journal)
    record = json.loads((folder / "run.json").read_text())
    for changes, field in (({"arm": "third"}, "arm"), ({"schema_version": 3}, "schema_version")):
        (folder / "run.json").write_text(json.dumps(record | changes))
        with pytest.raises(BadFile, match=f"run.json: {field}"):
            read_run(folder)
    (folder / "run.json").unlink()
    with pytest.raises(BadFile, match="cannot be read"):
        read_run(folder)


def test_writing_whole_is_readable_at_every_moment(tmp_path: Path) -> None:
    """A reader in another process sees one content or the other, and never a part."""
    path, contents = tmp_path / "file", (b"a" * 300_000, b"b" * 300_000)
    store.write_whole(path, contents[0])
    reader = os.fork()
    if not reader:
        os._exit(0 if all(path.read_bytes() in contents for _ in range(300)) else 1)
    done = 0
    while not done:
        for content in contents:
            store.write_whole(path, content)
        done, status = os.waitpid(reader, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status) == 0


# What earlier versions left must stay readable.


def test_stored_runs_are_of_every_kind() -> None:
    found = [found for _, found in runs(STORED)]
    kinds = {"items" if one.cell.task else one.cell.workload for one in found}
    assert kinds == {"speed", "load", "memory", "facts", "panel", "items"}
    assert {one.arm for one in found} == {"measured", "control"}
    assert any(one.failed for one in found)


@pytest.mark.parametrize("path", sorted(STORED.glob("*/*/run.json")), ids=lambda p: p.parent.name)
def test_a_stored_run_is_read(path: Path) -> None:
    found, samples = read_run(path.parent), read_samples(path.parent)
    assert found.schema_version == SCHEMA_VERSION
    assert found.settings is None or found.settings.device == found.cell.device
    assert len(samples) == found.samples
    assert all((one.data is None) == (one.cause is not None) for one in samples)
    assert {one.data.kind for one in samples if one.data} <= {
        "item" if found.cell.task else found.cell.workload
    }


def test_the_machine_of_stored_runs_is_read() -> None:
    (machine,) = store.machines(STORED)
    assert isinstance(machine, Machine)
    assert {found.machine for _, found in runs(STORED)} == {machine.id}


def test_whether_items_have_facets_is_told_from_the_bytes(tmp_path: Path) -> None:
    """A model that says the word is none that was asked under one."""
    item = {"kind": "item", "item": "one", "item_sha256": KEY, "prompt_sha256": KEY}
    item |= {"prompt_tokens": 1, "evaluated_tokens": 1, "new_tokens": 1, "stopped": "end"}
    item |= {"output": '"facets": {"blur": "3"}', "outcome": "right", "correct": True, "detail": ""}
    for facets in ({}, {"blur": "3"}):
        asked = {"index": 0, "started": "", "seconds": 1.0, "data": item | {"facets": facets}}
        raw = store.samples_bytes([Sample.model_validate(asked)])
        (tmp_path / "samples.jsonl").write_bytes(raw)
        assert store.has_facets(tmp_path) is bool(facets)
