"""The source `synthetic`: what holds for every format."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from harness.ask.geometry import Architecture
from harness.ask.models import Artifact, Model
from harness.errors import UnknownName
from harness.prepare import identity, need, prepare, synthetic
from harness.prepare.store import Progress, quiet

Build = Callable[..., tuple[Model, Artifact]]
CHECKOUT = Path(__file__).parents[2]
ARCHITECTURES = get_args(Architecture)
QUANTISATIONS = ("Q4_0", "Q8_0", "bf16")


@pytest.fixture
def tiny(synthetic: Build) -> Build:
    return synthetic


def written(model: Model, artifact: Artifact, path: Path) -> dict[str, bytes]:
    synthetic.write(model, artifact, path, quiet)
    files = path.iterdir() if path.is_dir() else [path]
    return {file.name if path.is_dir() else "": file.read_bytes() for file in files}


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_twice_the_same_and_another_seed_differs(
    tmp_path: Path, tiny: Build, quantisation: str
) -> None:
    first = written(*tiny(quantisation, seed=1), tmp_path / "1")
    assert written(*tiny(quantisation, seed=1), tmp_path / "2") == first
    assert written(*tiny(quantisation, seed=2), tmp_path / "3") != first


def test_the_identity_follows_all_that_the_bytes_follow(
    tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, artifact = tiny()
    renamed = model.model_copy(update={"name": "Another"})
    several = [
        identity(model, artifact),
        identity(renamed, artifact),
        identity(*tiny("Q8_0")),
        identity(*tiny("bf16")),
        identity(*tiny(seed=2)),
        identity(*tiny(rope_theta=20000)),
        identity(*tiny(window=64, global_every=2)),
    ]
    monkeypatch.setattr(synthetic, "_WRITER", -1)
    several.append(identity(model, artifact))
    assert len(set(several)) == len(several)


def test_a_field_that_came_later_changes_no_identity_where_it_is_unset(tiny: Build) -> None:
    """Else every stored run on synthetic weights would have to be repeated."""
    assert identity(*tiny()) == (
        "synthetic:71478277eb166663ecc98f299818cb1ece76a12926a0cd2d284a09fa223338bd"
    )


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_size_is_known_beforehand(
    cache: Path, tiny: Build, architecture: str, quantisation: str
) -> None:
    model, artifact = tiny(quantisation, architecture=architecture, vocabulary=16384)
    expected = need(model, artifact)
    made = prepare(model, artifact)
    assert (expected.present, expected.download_bytes) == (False, 0)
    on_disk = made.path.rglob("*") if made.path.is_dir() else [made.path]
    assert made.bytes == sum(file.stat().st_size for file in on_disk)
    assert expected.disk_bytes == pytest.approx(made.bytes, rel=0.01)
    assert need(model, artifact).present


def test_a_quantisation_that_is_not_generated(cache: Path, tiny: Build) -> None:
    with pytest.raises(UnknownName, match="Q4_K_M"):
        need(*tiny("Q4_K_M"))


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_it_needs_no_network(cache: Path, tiny: Build, quantisation: str) -> None:
    assert prepare(*tiny(quantisation), offline=True).bytes > 0


BIG = """
import re, sys
from pathlib import Path
from harness.ask.models import Model
from harness.prepare import quiet, synthetic

model = Model.model_validate_json(sys.argv[1])
synthetic.write(model, model.artifacts[0], Path(sys.argv[2]), quiet)
# Not ru_maxrss: that of a child begins with its parent's, and pytest is large by now.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in KiB is Linux's")
@pytest.mark.parametrize("quantisation", ["Q8_0", "bf16"])
def test_memory_stays_below_the_size_of_the_file(
    tmp_path: Path, tiny: Build, quantisation: str
) -> None:
    """One matrix alone has 428 MB and more here: neither it nor the file is ever held."""
    model, _ = tiny(quantisation, hidden=3072, layers=1, vocabulary=131072)
    command = [sys.executable, "-c", BIG, model.model_dump_json(), str(tmp_path / "big")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    made = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in made) > 428e6
    assert int(done.stdout) * 1024 < 250e6
    for file in made:
        file.unlink()


@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_progress_goes_up_to_the_whole(tmp_path: Path, tiny: Build, quantisation: str) -> None:
    seen: list[tuple[int, int]] = []
    report: Progress = lambda _, done, total: seen.append((done, total))  # noqa: E731
    synthetic.write(*tiny(quantisation), tmp_path / "file", report)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
