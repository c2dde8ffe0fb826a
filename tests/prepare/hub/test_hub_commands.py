"""The source `hub` as commands use it: processes that are killed, meet, list or stay offline."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hub_server import COMMIT, MIB, REPO, Hub, left, sha256

from harness import cli
from harness.ask.models import Artifact, Model

ROOT = Path(__file__).parents[3]
LONG = random.Random(4).randbytes(48 * MIB)
"""The client writes pieces of 10 MiB: a kill has to find some of them done."""
Build = Callable[..., tuple[Model, Artifact]]
Say = pytest.CaptureFixture[str]


@pytest.fixture
def checkout(row: Build, tmp_path: Path) -> Path:
    """A folder to give commands in, whose models.yaml has one row."""
    folder = tmp_path / "checkout"
    (folder / "claims").mkdir(parents=True)
    made = row({"tiny.gguf": LONG}, gated=True, licence_note="no use in space")[0]
    model = made.model_dump(mode="json", exclude={"id"})
    (folder / "models.yaml").write_text(yaml.safe_dump({"tiny": model}))
    return folder


def command(checkout: Path, *words: str, run: str = "-m harness") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *run.split(" ", 1), *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell lets what it starts in the background ignore Ctrl-C, and that is handed down."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        (signal.SIGKILL, -signal.SIGKILL, ""),
        (signal.SIGINT, 130, "harness: stopped; the same command goes on from here\n"),
    ],
)
def test_after_a_kill_or_ctrl_c_the_same_command_goes_on(
    hub: Hub, checkout: Path, cache: Path, how: signal.Signals, status: int, said: str
) -> None:
    hub.repos[REPO].commits[COMMIT]["tiny.gguf"] = LONG
    hub.hold = threading.Event()
    dying = command(checkout, "prepare", "tiny")
    assert hub.holding.wait(60)
    fetched = cache / "models" / "tiny" / "gguf-Q4_0" / ".fetched"
    while not any(path.stat().st_size for path in fetched.iterdir()):
        time.sleep(0.05)
    dying.send_signal(how)
    assert dying.communicate(timeout=60)[1].endswith(said)
    assert dying.returncode == status
    (kept,) = [path.stat().st_size for path in fetched.iterdir()]
    hub.hold.set()
    hub.hold = None
    second = command(checkout, "prepare", "tiny")
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert out == f"tiny gguf Q4_0  48 MiB  {sha256(LONG)}  commit {COMMIT}\n"
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
    assert said == [f"tiny gguf Q4_0  48 MiB  {sha256(LONG)}  commit {COMMIT}\n"] * 2
    assert len(hub.got("tiny.gguf")) == 1


def test_listing_shows_size_and_terms_and_loads_no_client(hub: Hub, checkout: Path) -> None:
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
    terms = "its licence has to be accepted there first; no use in space"
    assert f"hub: 48 MiB to fetch, 48 MiB on disk; {terms}\n" in out
    assert f'"download_bytes": {len(LONG)}' in out


def test_plan_says_whose_size_is_not_known(
    row: Build, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    folder = tmp_path / "checkout"
    for name in ("claims", "pages", "tasks"):
        shutil.copytree(ROOT / name, folder / name)
    rows = yaml.safe_load((ROOT / "models.yaml").read_text())
    (artifact,) = (
        one for one in rows["smollm2-135m-instruct"]["artifacts"] if one["quantisation"] == "Q4_1"
    )
    artifact["source"] = row(known=False)[1].model_dump(mode="json")["source"]
    (folder / "models.yaml").write_text(yaml.safe_dump(rows))
    monkeypatch.chdir(folder)
    assert cli.main(["plan", "smoke-rate"]) == 0
    said = capsys.readouterr().out
    assert "not counted: smollm2-135m-instruct Q4_1, whose size only the hub can tell" in said
    assert cli.main(["plan", "smoke-rate", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    assert (planned["download_bytes"], planned["disk_bytes"]) == (None, None)


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
