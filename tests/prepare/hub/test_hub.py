"""The source `hub`: what is fetched, from which commit, and how a download goes on."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import COMMIT, FOLDER, LATER, MIB, REPO, WEIGHTS, Hub, left, sha256

from harness import prepare
from harness.ask.models import Artifact, Model
from harness.plan.cells import Cell
from harness.plan.planner import Planner
from harness.run import job

Usage = namedtuple("Usage", "total used free")
Build = Callable[..., tuple[Model, Artifact]]


def test_one_file_at_a_pinned_commit(hub: Hub, cache: Path, row: Build) -> None:
    model, artifact = row()
    before = prepare.need(model, artifact)
    assert (before.present, before.download_bytes, before.disk_bytes) == (False, MIB, MIB)
    made = prepare.prepare(model, artifact)
    assert made.path == prepare.place(model, artifact) / "tiny.gguf"
    assert made.path.read_bytes() == WEIGHTS
    assert (made.sha256, made.bytes, made.revision) == (sha256(WEIGHTS), MIB, COMMIT)
    assert hub.sent() == MIB
    assert left(cache) == ["tiny.gguf"]
    assert prepare.need(model, artifact).present
    assert prepare.prepare(model, artifact) == made
    assert hub.sent() == MIB


@pytest.mark.parametrize("known", [True, False])
def test_a_folder_of_files(
    hub: Hub, cache: Path, row: Build, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = row(FOLDER, known)
    total = sum(len(data) for data in FOLDER.values())
    assert prepare.need(model, artifact).download_bytes == (total if known else None)
    with monkeypatch.context() as patch:
        patch.setattr("harness.prepare.store._sha256", None)  # each was hashed when it came
        made = prepare.prepare(model, artifact)
    assert made.path == prepare.place(model, artifact) / "Tiny-1.5-GGUF"
    assert {name: (made.path / name).read_bytes() for name in FOLDER} == FOLDER
    assert made.bytes == total == hub.sent()
    listing = "".join(f"{sha256(FOLDER[name])}  {name}\n" for name in sorted(FOLDER))
    assert made.sha256 == sha256(listing.encode())
    assert prepare.prepare(model, artifact, offline=True) == made


def test_files_of_the_same_content(hub: Hub, row: Build) -> None:
    twins = {"a/config.json": b"{}", "b/config.json": b"{}", "config.json": b"{}"}
    hub.repos[REPO].commits[COMMIT] = twins
    made = prepare.prepare(*row(twins))
    assert [(made.path / name).read_bytes() for name in twins] == [b"{}"] * 3


def test_the_commit_of_an_unpinned_row_is_recorded(hub: Hub, row: Build) -> None:
    model, artifact = row(known=False, revision=None)
    made = prepare.prepare(model, artifact)
    assert made.revision == COMMIT
    assert json.loads(prepare.origin(artifact, made))["revision"] == COMMIT
    hub.repos[REPO].branches["main"] = LATER
    assert prepare.prepare(model, artifact, offline=True) == made


def test_a_run_records_the_commit_of_an_unpinned_row(hub: Hub, row: Build, tmp_path: Path) -> None:
    model, _ = row(known=False, revision=None)
    cell = Cell(
        workload="speed", model="tiny", quantisation="Q4_0", runtime="llama.cpp", device="cpu"
    )
    planned = Planner({"tiny": model}, {}, {}).planned(cell, 1)
    record = job.make(planned, {"tiny": model}, {}, tmp_path, offline=False).artifact
    assert record is not None
    assert record.sha256 == sha256(WEIGHTS)
    assert json.loads(record.source)["revision"] == COMMIT


def test_files_of_two_commits_are_never_mixed(hub: Hub, row: Build, cache: Path) -> None:
    """The branch moves between an interrupted download and the one that ends it."""
    old = {"config.json": b"{}", "model.safetensors": b"old" * 100_000}
    new = {"config.json": b"[]", "model.safetensors": b"new" * 100_000}
    hub.repos[REPO].commits |= {COMMIT: old, LATER: new}
    model, artifact = row(new, known=False, revision=None)

    def stop(what: str, done: int, total: int) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(model, artifact, progress=stop)
    hub.repos[REPO].branches["main"] = LATER
    made = prepare.prepare(model, artifact)
    assert {name: (made.path / name).read_bytes() for name in new} == new
    assert made.revision == LATER
    assert left(cache) == ["model.safetensors"]


def test_a_stopped_download_goes_on_where_it_stopped(
    hub: Hub, cache: Path, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = row()

    def stop(what: str, done: int, total: int) -> None:
        if done >= MIB // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(model, artifact, progress=stop)
    (waiting,) = (prepare.place(model, artifact) / ".fetched").iterdir()
    kept = waiting.stat().st_size
    assert MIB // 4 < kept < MIB
    assert prepare.need(model, artifact).disk_bytes == MIB - kept

    told: list[tuple[str, int, int]] = []
    # Room for the rest is enough.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, MIB - kept))
    made = prepare.prepare(model, artifact, progress=lambda *what: told.append(what))
    assert made.path.read_bytes() == WEIGHTS
    resumed = hub.got("tiny.gguf")[-1]
    assert resumed.headers["range"] == f"bytes={kept}-"
    assert resumed.sent == MIB - kept
    assert (told[0], told[-1]) == (
        ("fetching tiny.gguf", kept, MIB),
        ("fetching tiny.gguf", MIB, MIB),
    )
    assert left(cache) == ["tiny.gguf"]


def test_whole_files_of_a_stopped_download_are_not_fetched_again(hub: Hub, row: Build) -> None:
    model, artifact = row(FOLDER)

    def stop(what: str, done: int, total: int) -> None:
        if "onnx_data" in what and done > 600_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(model, artifact, progress=stop)
    prepare.prepare(model, artifact)
    assert [len(hub.got(name)) for name in FOLDER] == [1, 1, 1, 2]


def test_progress_counts_all_files_and_never_falls(hub: Hub, row: Build) -> None:
    told: list[tuple[str, int, int]] = []
    prepare.prepare(*row(FOLDER), progress=lambda *what: told.append(what))
    total = sum(len(data) for data in FOLDER.values())
    assert {all_ for _, _, all_ in told} == {total}
    done = [now for _, now, _ in told]
    assert (done, done[0], done[-1]) == (sorted(done), 0, total)
    assert list(dict.fromkeys(what for what, _, _ in told)) == [f"fetching {n}" for n in FOLDER]


def test_identity_needs_no_hub_and_follows_the_content(row: Build) -> None:
    names = {
        prepare.identity(*row(**changes))
        for changes in (
            {},
            {"files": [{"name": "tiny.gguf", "sha256": "0" * 64, "bytes": None}]},
            {"files": [{"name": "tiny.gguf", "sha256": None, "bytes": None}]},
            {"files": [{"name": "tiny.gguf", "sha256": None, "bytes": None}], "revision": None},
        )
    }
    assert len(names) == 4
    assert prepare.identity(*row(revision=LATER)) == prepare.identity(*row())
