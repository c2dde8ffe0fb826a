"""The source `hub`: wrong bytes, refusals, dropped lines, full disks, and no hub at all."""

from __future__ import annotations

import errno
import logging
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import COMMIT, FOLDER, LATER, MIB, REPO, TOKEN, WEIGHTS, Hub, Repo, left, sha256
from huggingface_hub import constants

from harness import prepare
from harness.ask.models import Artifact, Model
from harness.errors import BadFile, HarnessError, MissingError, NotEnough
from harness.prepare import hub as source

Usage = namedtuple("Usage", "total used free")
Build = Callable[..., tuple[Model, Artifact]]

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


def test_a_file_that_only_xet_serves_is_refused(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", MIB - 1)
    with pytest.raises(BadFile, match=rf"tiny\.gguf: {MIB} bytes, which hubs serve by xet alone"):
        prepare.prepare(*row())
    assert hub.sent() == 0


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


def test_without_the_package_the_error_names_the_extra(
    hub: Hub, row: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError, match=r"pip install 'claimbench\[hub\]'"):
        prepare.prepare(*row())
