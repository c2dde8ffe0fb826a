"""The source `hub`: the real client against a hub on loopback."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hub_server import TOKEN, Hub, Repo
from huggingface_hub import constants

from harness import prepare
from harness.ask import models
from harness.ask.models import Artifact, HubSource, Model
from harness.errors import BadFile, HarnessError, MissingError, NotEnough
from harness.prepare import hub as source

ROOT = Path(__file__).parents[2]
REPO = "some-org/Tiny-1.5-GGUF"
COMMIT, LATER = "a" * 40, "b" * 40
MIB = 1 << 20
WEIGHTS = random.Random(1).randbytes(MIB)
FOLDER = {
    "config.json": b'{"hidden_size": 64}',
    "tokenizer.json": b"{}",
    "onnx/model.onnx": random.Random(2).randbytes(300_000),
    "onnx/model.onnx_data": random.Random(3).randbytes(500_000),
}
Usage = namedtuple("Usage", "total used free")
Build = Callable[..., tuple[Model, Artifact]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def hub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, and a client that knows no other and has no token."""
    with Hub({REPO: Repo({COMMIT: {"tiny.gguf": WEIGHTS, **FOLDER}}, {"main": COMMIT})}) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 15)
        monkeypatch.setattr(source, "_WAITS", (0, 0))
        monkeypatch.setenv("HF_ENDPOINT", server.url)  # for processes
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture
def row(synthetic: Build) -> Build:
    """A model out of the hub: `row(contents, known, **source)`; `known`: sizes and sha256 are."""

    def build(
        contents: dict[str, bytes] | None = None, known: bool = True, **changes: object
    ) -> tuple[Model, Artifact]:
        named = {"tiny.gguf": WEIGHTS} if contents is None else contents
        rows = [
            {
                "name": name,
                "sha256": sha256(data) if known else None,
                "bytes": len(data) if known else None,
            }
            for name, data in named.items()
        ]
        facts = {"kind": "hub", "repo": REPO, "revision": COMMIT, "files": rows}
        made = HubSource.model_validate(facts | changes)
        artifact = Artifact(format="gguf", quantisation="Q4_0", source=made)
        return synthetic()[0].model_copy(update={"artifacts": [artifact]}), artifact

    return build


def left(cache: Path) -> list[str]:
    """What lies in the cache, without locks and records."""
    found = [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(path.name for path in found if path.suffix != ".json")


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


DIFFERENT = {
    "another commit": ({}, {"claimed_commit": LATER}, f"should be at commit {COMMIT}, is at b+"),
    "another sha256": (
        {"files": [{"name": "tiny.gguf", "sha256": "0" * 64, "bytes": MIB}]},
        {},
        f"sha256 should be 0+, on the hub is {sha256(WEIGHTS)}",
    ),
    "another size": (
        {"files": [{"name": "tiny.gguf", "sha256": None, "bytes": 3}]},
        {},
        f"should be 3 bytes, on the hub is {MIB}",
    ),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_from_models_yaml_is_not_even_fetched(
    hub: Hub, cache: Path, row: Build, case: str
) -> None:
    changes, faults, complaint = DIFFERENT[case]
    vars(hub).update(faults)
    with pytest.raises(BadFile, match=complaint):
        prepare.prepare(*row(**changes))
    assert (hub.sent(), left(cache)) == (0, [])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ["tiny.gguf", "config.json"])
def test_wrong_bytes_are_not_kept(
    hub: Hub, cache: Path, row: Build, name: str, known: bool
) -> None:
    """Told by the sha256 of models.yaml, the hub's own, or git's hash of a small file."""
    hub.spoil = True
    with pytest.raises(BadFile, match=rf"{name}: checksum should be \w+, is \w+"):
        prepare.prepare(*row({name: hub.repos[REPO].commits[COMMIT][name]}, known))
    assert left(cache) == []
    hub.spoil = False
    prepare.prepare(*row({name: hub.repos[REPO].commits[COMMIT][name]}, known))


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


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_dropped_line_is_taken_up_again(hub: Hub, row: Build, abruptly: bool) -> None:
    """The client takes up what just ends; what is reset, the harness."""
    hub.cut_after = [MIB // 2, MIB // 4]
    hub.reset = abruptly
    made = prepare.prepare(*row())
    assert made.path.read_bytes() == WEIGHTS
    assert hub.sent() < (1.8 if abruptly else 1.1) * MIB  # a reset loses what is on its way
    assert len(hub.got("tiny.gguf")) == 3


def test_a_server_without_ranges_sends_the_whole_again(hub: Hub, row: Build) -> None:
    hub.cut_after = [MIB // 2]
    hub.ranges = False
    assert prepare.prepare(*row()).path.read_bytes() == WEIGHTS
    assert hub.sent() == MIB * 3 // 2


def test_a_passing_fault_passes(hub: Hub, row: Build) -> None:
    hub.statuses = [503, 500]
    assert prepare.prepare(*row()).path.read_bytes() == WEIGHTS


def test_a_lasting_fault_is_said_and_what_came_is_kept(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = row()
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.statuses = [200, *[503] * 9]
    hub.cut_after = [MIB // 2]
    with pytest.raises(MissingError, match=r"answers 503 for tiny\.gguf .* repeat later"):
        prepare.prepare(model, artifact)
    hub.statuses = []
    prepare.prepare(model, artifact)
    assert hub.got("tiny.gguf")[-1].sent < 0.6 * MIB


REFUSALS: dict[str, tuple[dict[str, object], str | None, int, str]] = {
    "gated, no token": ({"repo": "some-org/gated"}, None, 3, r"\(401\): accept its licence on"),
    "gated, wrong token": ({"repo": "some-org/gated"}, "hf_wrong", 3, r"\(403\): accept its"),
    "no repository": ({"repo": "some-org/none"}, None, 2, "no repository .* `hf auth login`"),
    "no repository, token": ({"repo": "some-org/none"}, TOKEN, 2, "no repository some-org/none"),
    "no commit": ({"revision": LATER}, None, 2, f"has no commit {LATER}"),
    "no file": (
        {"files": [{"name": "other.gguf", "sha256": None, "bytes": None}]},
        None,
        2,
        r"has no file other\.gguf",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_says_what_to_do(
    hub: Hub,
    cache: Path,
    row: Build,
    case: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes, token, status, advice = REFUSALS[case]
    hub.repos["some-org/gated"] = Repo(hub.repos[REPO].commits, {}, gated=True)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HarnessError, match=advice) as raised:
        prepare.prepare(*row(**changes))
    assert raised.value.status == status
    assert "hf_" not in str(raised.value).replace("HF_TOKEN", "")
    assert (hub.sent(), left(cache)) == (0, [])


def test_the_token_goes_to_the_hub_alone_and_is_said_nowhere(
    hub: Hub,
    cache: Path,
    row: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.repos[REPO].gated = True
    hub.cut_after = [MIB // 2]  # the client logs a warning, with an address
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with caplog.at_level(logging.DEBUG):
        made = prepare.prepare(*row())
    sent = {one.headers.get("authorization") for one in hub.seen if "resolve" in one.path}
    assert sent == {f"Bearer {TOKEN}"}
    assert {one.headers.get("authorization") for one in hub.seen if "resolve" not in one.path} == {
        None
    }
    assert "Trying to resume" in caplog.text
    assert TOKEN not in caplog.text
    records = [path.read_text() for path in cache.rglob("*.json")]
    assert records
    assert not any(TOKEN in text for text in records)
    assert TOKEN not in repr(made)


def test_without_a_hub_the_error_says_what_to_do(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "http://user:hf_pass@127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", "http://user:hf_pass@127.0.0.1:9")
    monkeypatch.setattr("time.sleep", None)  # at once: `verify` asks for many files
    with pytest.raises(MissingError, match=r"not within reach .* check the network") as raised:
        prepare.prepare(*row())
    assert "hf_pass" not in str(raised.value)


def test_a_site_that_is_no_hub(hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    template = f"{hub.storage}/{sha256(WEIGHTS)}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with pytest.raises(MissingError, match="does not answer as a model hub; check HF_ENDPOINT"):
        prepare.prepare(*row())


def test_offline_with_unknown_sizes(hub: Hub, row: Build) -> None:
    with pytest.raises(MissingError, match="offline was asked for"):
        prepare.prepare(*row(known=False), offline=True)
    assert hub.seen == []


def test_the_clients_own_offline_switch(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingError, match="HF_HUB_OFFLINE is set"):
        prepare.prepare(*row())
    assert hub.seen == []


@pytest.mark.parametrize("known", [True, False])
def test_room_is_checked_before_the_first_byte(
    hub: Hub, cache: Path, row: Build, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 1 << 40, MIB - 1))
    with pytest.raises(NotEnough, match="not enough disk"):
        prepare.prepare(*row(known=known))
    assert (hub.sent(), left(cache)) == (0, [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("known", [True, False])
def test_a_disk_that_fills_up_is_cleaned(hub: Hub, cache: Path, row: Build, known: bool) -> None:
    model, artifact = row(FOLDER, known)
    prepare.prepare(model, artifact)
    fetched = prepare.place(model, artifact) / ".fetched"
    fetched.mkdir()
    # The client writes the last file to a device without room, the others where they belong.
    _, files = source._look_up(artifact.source)  # type: ignore[arg-type]
    (fetched / files[-1].key).symlink_to("/dev/full")
    shutil.rmtree(prepare.place(model, artifact) / "Tiny-1.5-GGUF")
    with pytest.raises(NotEnough, match="filled up on the way") as raised:
        prepare.prepare(model, artifact)
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ENOSPC
    assert left(cache) == []


REFUSED = {
    "pytorch_model.bin": "a pickle can run code",
    "model.pt": "a pickle can run code",
    "model.pth": "a pickle can run code",
    "model.ckpt": "a pickle can run code",
    "weights.PKL": "a pickle can run code",
    "modeling_tiny.py": "never code",
    "README.md": "only safetensors, GGUF",
    "notes.txt": "only safetensors, GGUF",
    "weights.model": "only safetensors, GGUF",
    "model.gguf.exe": "only safetensors, GGUF",
    "../config.json": "no path inside a repository",
    "/etc/config.json": "no path inside a repository",
    "a\\..\\config.json": "no path inside a repository",
    "C:config.json": "no path inside a repository",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_row_with_a_file_that_could_do_harm_is_refused(
    tmp_path: Path, row: Build, name: str
) -> None:
    model = row()[0].model_dump(mode="json", exclude={"id"})
    model["artifacts"][0]["source"]["files"][0]["name"] = name
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"tiny": model}))
    with pytest.raises(BadFile, match=re.escape(str(path)) + f".*{REFUSED[name]}"):
        models.load(path)


@pytest.mark.parametrize(
    "name",
    [
        "model-00001-of-00002.safetensors",
        "mmproj-tiny-Q8_0.gguf",
        "onnx/decoder_model_merged_q4.onnx",
        "onnx/decoder_model_merged.onnx_data_1",
        "model.onnx.data",
        "chat_template.jinja",
        "merges.txt",
        "tokenizer.model",
    ],
)
def test_files_that_runtimes_need_may_be_listed(row: Build, name: str) -> None:
    row({name: b"x"})


@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "main"},
        {"files": []},
        {"files": [{"name": "a.json", "sha256": None, "bytes": None}] * 2},
        {"files": [{"name": "a.json"}]},
        {"repo": "../etc"},
        {"repo": "one"},
    ],
)
def test_what_is_not_known_has_to_be_said(row: Build, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        row(**changes)


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


def test_without_the_package_the_error_names_the_extra(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError, match=r"pip install 'claimbench\[hub\]'"):
        prepare.prepare(*row())


@pytest.fixture
def checkout(row: Build, tmp_path: Path) -> Path:
    """A folder to give commands in, whose models.yaml has one row. Large: chunks are 10 MiB."""
    folder = tmp_path / "checkout"
    (folder / "claims").mkdir(parents=True)
    model = row({"tiny.gguf": LONG})[0].model_dump(mode="json", exclude={"id"})
    (folder / "models.yaml").write_text(yaml.safe_dump({"tiny": model}))
    return folder


LONG = random.Random(4).randbytes(48 * MIB)


def command(checkout: Path, *words: str, run: str = "-m harness") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *run.split(" ", 1), *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_after_kill_the_same_command_goes_on(hub: Hub, checkout: Path, cache: Path) -> None:
    hub.repos[REPO].commits[COMMIT]["tiny.gguf"] = LONG
    hub.hold = threading.Event()
    dying = command(checkout, "prepare", "tiny")
    assert hub.holding.wait(60)
    fetched = cache / "models" / "tiny" / "gguf-Q4_0" / ".fetched"
    while not any(path.stat().st_size for path in fetched.iterdir()):
        time.sleep(0.05)
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    (kept,) = [path.stat().st_size for path in fetched.iterdir()]
    hub.hold.set()
    hub.hold = None
    second = command(checkout, "prepare", "tiny")
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert out == f"tiny Q4_0  48 MiB  {sha256(LONG)}  commit {COMMIT}\n"
    assert f"fetching tiny.gguf {kept * 10 // len(LONG) * 10}%" in err
    resumed = next(one for one in hub.got("tiny.gguf") if "range" in one.headers)
    assert resumed.headers["range"] == f"bytes={kept}-"
    assert resumed.sent == len(LONG) - kept <= 38 * MIB
    assert left(cache) == ["tiny.gguf"]


def test_two_processes_fetch_once(hub: Hub, checkout: Path) -> None:
    hub.repos[REPO].commits[COMMIT]["tiny.gguf"] = LONG
    hub.hold = threading.Event()
    first = command(checkout, "prepare", "tiny")
    assert hub.holding.wait(60)
    second = command(checkout, "prepare", "tiny")
    assert second.stderr
    assert any("waiting for another process" in line for line in second.stderr)
    hub.hold.set()
    said = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert said == [f"tiny Q4_0  48 MiB  {sha256(LONG)}  commit {COMMIT}\n"] * 2
    assert len(hub.got("tiny.gguf")) == 1


def test_listing_shows_the_size_and_loads_no_client(hub: Hub, checkout: Path) -> None:
    code = (
        "import sys\n"
        "from harness import cli\n"
        "status = cli.main(['models']) or cli.main(['models', '--json'])\n"
        "loaded = {'huggingface_hub', 'httpx2'} & set(sys.modules)\n"
        "print(loaded or 'light', file=sys.stderr)\n"
        "sys.exit(status)"
    )
    listing = command(checkout, code, run="-c")
    out, err = listing.communicate(timeout=60)
    assert (listing.returncode, err) == (0, "light\n")
    assert "hub, needs 48 MiB" in out
    assert f'"download_bytes": {len(LONG)}' in out


def test_nothing_is_asked_or_told_but_the_files(
    hub: Hub, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own: the client asks for its list of agents once and keeps it."""
    hub.repos[REPO].commits[COMMIT]["tiny.gguf"] = LONG
    monkeypatch.setenv("AI_AGENT", "some-agent")
    fetching = command(checkout, "prepare", "tiny")
    err = fetching.communicate(timeout=60)[1]
    assert fetching.returncode == 0, err
    assert [one.path for one in hub.seen if not one.path.endswith("/tiny.gguf")] == []
    assert {one.headers["accept-encoding"] for one in hub.seen} == {"identity"}
    (agent,) = {one.headers["user-agent"] for one in hub.seen}
    assert re.fullmatch(r"claimbench/[\d.]+", agent)


def test_offline_opens_no_socket(hub: Hub, checkout: Path) -> None:
    code = (
        "import os, sys\n"
        "sys.addaudithook(lambda name, _: name.startswith('socket.') and os._exit(99))\n"
        "from harness import cli\n"
        "sys.exit(cli.main(['prepare', 'tiny', '--offline']))"
    )
    asked = command(checkout, code, run="-c")
    err = asked.communicate(timeout=60)[1]
    assert asked.returncode == 3, err
    assert "offline was asked for; with network, run: harness prepare tiny" in err
    assert hub.seen == []


def test_a_machine_without_a_hub_ends_with_status_3(
    hub: Hub, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    asked = command(checkout, "prepare", "tiny")
    err = asked.communicate(timeout=60)[1]
    assert asked.returncode == 3
    assert "127.0.0.1:9 is not within reach (ConnectError)" in err
    assert "Traceback" not in err
