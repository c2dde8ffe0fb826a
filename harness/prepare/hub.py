"""The source `hub`: files of a model repository, fetched with huggingface_hub's own client.

Promised, and tested in tests/prepare/hub:
- all files are of one commit: the one that models.yaml names, or what `main` is at the first of
  them; the artifact's record says which;
- each file has the sha256 that models.yaml names, or where it names none, the checksum that the
  hub itself gives (the sha256 of a large file, git's hash of a small one);
- a download that was stopped or killed goes on where it stopped; what is fetched so far waits in
  a folder `.fetched` beside the artifact until all is there. Wrong bytes don't stay, nor does
  anything when the disk fills up;
- the token is sent to the hub alone and said nowhere; nothing else is sent about this machine.

Not promised: files over 50 GB, which hubs only serve by a protocol of their own (xet).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import harness
from harness.ask.models import Artifact, HubFile, HubSource, Model
from harness.errors import BadFile, HarnessError, MissingError
from harness.prepare import Need, place
from harness.prepare.store import FULL, Progress, Written, check_room, filled_up

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

_WAITS = (1, 3)  # seconds before another try; the client itself tries again where a line drops
_PASSING = (408, 429, 500, 502, 503, 504)
_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"

T = TypeVar("T")


def file_name(model: Model, artifact: Artifact) -> str:
    """The one file's own name; a folder of several bears the repository's."""
    source = _of(artifact)
    path = source.files[0].name if len(source.files) == 1 else source.repo
    return PurePosixPath(path).name


def identity(model: Model, artifact: Artifact) -> str:
    """A hash of the files' names and sha256; of where a file comes from if that is unknown."""
    source = _of(artifact)
    origin = f"{source.repo}@{source.revision or 'main'}"
    files = sorted([file.name, file.sha256 or origin] for file in source.files)
    return f"hub:{hashlib.sha256(json.dumps(files).encode()).hexdigest()}"


def cost(model: Model, artifact: Artifact) -> Need:
    """Null where models.yaml does not know a size. What is fetched already takes no more room."""
    return cost_of(_of(artifact), _fetched(model, artifact))


def cost_of(source: HubSource, fetched: Path) -> Need:
    """As `cost`, with the folder in which files wait."""
    sizes = [file.bytes for file in source.files if file.bytes]
    if len(sizes) < len(source.files):
        return Need(present=False, download_bytes=None, disk_bytes=None)
    rest = max(0, sum(sizes) - _bytes(fetched))
    return Need(present=False, download_bytes=sum(sizes), disk_bytes=rest)


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Fetches the files beside the artifact's place and moves them to `part` once all are there.

    Raises as `prepare` does.
    """
    return fetch(_of(artifact), _fetched(model, artifact), part, progress)


def fetch(source: HubSource, fetched: Path, part: Path, progress: Progress) -> Written:
    """The files of `source` at `part`, by way of the folder `fetched`. Raises as `prepare` does."""
    _load_client()
    commit, files = _look_up(source)
    fetched.mkdir(exist_ok=True)
    for left in fetched.iterdir():
        if left.name not in {file.key for file in files}:  # of another commit or models.yaml
            left.unlink()
    total = sum(file.bytes for file in files)
    check_room(fetched, total - _bytes(fetched))
    try:
        digests = _fetch_all(source, files, fetched, total, progress)
    except OSError as error:
        if error.errno not in FULL:
            raise
        shutil.rmtree(fetched)
        raise filled_up(part.parent, total) from error
    names = [file.name for file in files] if len(files) > 1 else [""]
    for file, name in zip(files, names, strict=True):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (fetched / file.key).replace(part / name)
    fetched.rmdir()
    return Written(dict(zip(names, digests, strict=True)), commit)


def _of(artifact: Artifact) -> HubSource:
    if not isinstance(artifact.source, HubSource):
        raise TypeError(f"source {artifact.source.kind} is not hub")
    return artifact.source


def _fetched(model: Model, artifact: Artifact) -> Path:
    """Where files wait under their checksums. The artifact's lock guards it, too."""
    return place(model, artifact) / ".fetched"


def _bytes(fetched: Path) -> int:
    size = 0
    with suppress(FileNotFoundError):  # nothing there yet, or another process is done just now
        for path in fetched.iterdir():
            size += path.stat().st_size
    return size


def _load_client() -> None:
    try:
        from huggingface_hub import constants
    except ImportError as error:
        raise MissingError(
            "fetching from a model hub needs the package huggingface_hub; "
            "run: python -m pip install 'claimbench[hub]'"
        ) from error
    # Otherwise it asks the hub for a list of coding agents, and reports the one it finds here.
    constants.HF_HUB_DISABLE_TELEMETRY = True


def _headers() -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    agent = f"claimbench/{harness.__version__}"
    # A compressed answer could not be resumed: its bytes are not the file's.
    return build_hf_headers(headers={"user-agent": agent, "accept-encoding": "identity"})


@dataclass(frozen=True)
class _File:
    """A file as the hub has it. `checksum`: sha256, or git's sha1 where the hub knows no more."""

    name: str
    url: str
    bytes: int
    checksum: str

    @property
    def key(self) -> str:
        """Its name while it waits: the same only for the same content at the same path."""
        return hashlib.sha256(f"{self.checksum} {self.name}".encode()).hexdigest()


def _look_up(source: HubSource) -> tuple[str, list[_File]]:
    """The commit, and its files. Raises BadFile where they are not as models.yaml has them."""
    from huggingface_hub import hf_hub_url

    commit = source.revision or _said(source, source.files[0].name, None)[0]
    files = []
    for file in source.files:
        served, said = _said(source, file.name, commit)
        if served != commit:
            raise BadFile(f"{source.repo} should be at commit {commit}, is at {served}")
        url = hf_hub_url(source.repo, file.name, revision=commit, repo_type=source.repo_type)
        files.append(_described(f"{source.repo}: {file.name}", file, url, said))
    return commit, files


def _said(source: HubSource, name: str, revision: str | None) -> tuple[str, HfFileMetadata]:
    """What the hub says of a file, and at which commit."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(source.repo, name, revision=revision, repo_type=source.repo_type)
    said = _ask(source, name, lambda: get_hf_file_metadata(url, headers=_headers()))
    if said.commit_hash is None:
        raise MissingError(f"{_host()} does not answer as a model hub; check HF_ENDPOINT")
    return said.commit_hash, said


def _described(what: str, file: HubFile, url: str, said: HfFileMetadata) -> _File:
    """What models.yaml and the hub say of a file, in one. Raises BadFile where they differ."""
    from huggingface_hub import constants

    theirs = said.etag if said.etag and re.fullmatch(r"[0-9a-f]{40,64}", said.etag) else None
    checksum, size = file.sha256 or theirs, file.bytes or said.size
    if file.sha256 and theirs and len(theirs) == len(file.sha256) and theirs != file.sha256:
        raise BadFile(f"{what}: sha256 should be {file.sha256}, on the hub is {theirs}")
    if file.bytes and said.size is not None and said.size != file.bytes:
        raise BadFile(f"{what}: should be {file.bytes} bytes, on the hub is {said.size}")
    if checksum is None or size is None:
        raise BadFile(f"{what}: the hub gives no checksum or size; write both in models.yaml")
    if size > constants.MAX_HTTP_DOWNLOAD_SIZE:
        raise BadFile(f"{what}: {size} bytes, which hubs serve by xet alone; not spoken here")
    return _File(file.name, url, size, checksum)


def _fetch_all(
    source: HubSource, files: list[_File], fetched: Path, total: int, progress: Progress
) -> list[str]:
    """Each file whole in the folder `fetched`; their sha256."""
    digests, done = [], 0
    for file in files:
        tell = _Tell(f"fetching {file.name}", done, total, progress)
        digests.append(_fetch(source, file, fetched / file.key, tell))
        done += file.bytes
    return digests


def _fetch(source: HubSource, file: _File, path: Path, tell: _Tell) -> str:
    """The file at `path`, whole; what is there already is not fetched again. Its sha256."""
    from huggingface_hub.file_download import http_get

    def get() -> None:
        with path.open("ab") as data:
            there = data.tell()
            tell.start(there)
            http_get(
                file.url,
                data,
                resume_size=there,
                headers=_headers(),
                expected_size=file.bytes,
                displayed_filename=file.name,
                tqdm_class=lambda **bar: tell.start(bar["initial"]),  # type: ignore[arg-type]
            )

    if path.exists() and path.stat().st_size > file.bytes:
        path.unlink()
    try:
        _ask(source, file.name, get)
    except OSError as error:
        if error.errno is not None:
            raise
        path.unlink()  # the client's own complaint: more or fewer bytes than were announced
        complaint = f"should be {file.bytes} bytes, more or fewer came"
        raise BadFile(f"{source.repo}: {file.name}: {complaint}") from error
    sha256, is_ = _checksums(path, file)
    if is_ != file.checksum:
        path.unlink()
        raise BadFile(
            f"{source.repo}: {file.name}: checksum should be {file.checksum}, is {is_}; "
            "nothing of it was kept"
        )
    return sha256


def _checksums(path: Path, file: _File) -> tuple[str, str]:
    """The sha256, and the checksum that the file is known by."""
    with path.open("rb") as data:
        sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        if len(file.checksum) == len(sha256):
            return sha256, sha256
        data.seek(0)
        blob = hashlib.sha1(f"blob {file.bytes}\0".encode(), usedforsecurity=False)
        hashlib.file_digest(data, lambda: blob)
        return sha256, blob.hexdigest()


@dataclass
class _Tell:
    """What the client takes for a progress bar: passes on the bytes, `before` from other files."""

    what: str
    before: int
    total: int
    progress: Progress
    here: int = 0

    def start(self, here: int) -> _Tell:
        self.here = here
        self.update(0)
        return self

    def update(self, more: int) -> None:
        self.here += more
        self.progress(self.what, self.before + self.here, self.total)

    def __enter__(self) -> _Tell:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _ask(source: HubSource, name: str, ask: Callable[[], T]) -> T:
    """What `ask` returns, asked again where that may help. Raises HarnessError."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import OfflineModeIsEnabled

    waits = iter(_WAITS)
    while True:
        try:
            return ask()
        except OfflineModeIsEnabled as error:
            raise MissingError("HF_HUB_OFFLINE is set; unset it to fetch from a hub") from error
        except HTTPError as error:
            wait = next(waits, None)
            if wait is None or not _may_pass(error):
                raise _refusal(source, name, error) from error
        time.sleep(wait)


def _may_pass(error: Exception) -> bool:
    """A line that dropped, a busy hub. Not a hub out of reach: `verify` asks for many files."""
    from httpx2 import ConnectError, ConnectTimeout
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    return not isinstance(error, ConnectError | ConnectTimeout)


def _host() -> str:
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]


def _refusal(source: HubSource, name: str, error: Exception) -> HarnessError:
    """Why there is no file, and what to do. Its own words: the client's hold addresses."""
    from huggingface_hub import errors

    repo, host = source.repo, _host()
    if not isinstance(error, errors.HfHubHTTPError):
        return MissingError(
            f"{host} is not within reach ({type(error).__name__}): check the network, or set "
            "HF_ENDPOINT to a mirror, then repeat; what was fetched is kept"
        )
    status = error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return MissingError(
            f"{repo} is gated ({status}): accept its licence on https://{host}/{repo}, "
            f"{_LOG_IN}, then repeat"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return BadFile(f"{host} has no repository {repo}, or a private one: then {_LOG_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return BadFile(f"{repo} on {host} has no commit {source.revision or 'main'}")
    if isinstance(error, errors.RemoteEntryNotFoundError) or status == 404:
        return BadFile(f"{repo} on {host} has no file {name}")
    if status in (401, 403):
        return MissingError(f"{host} refuses {repo} ({status}): {_LOG_IN} of one who may read it")
    return MissingError(
        f"{host} answers {status} for {name} of {repo}; repeat later, what was fetched is kept"
    )
