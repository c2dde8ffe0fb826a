"""The source `bundled`: files of this repository, whole and as models.yaml has them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.ask import models
from harness.ask.models import Artifact, Model
from harness.errors import BadFile
from harness.prepare import identity, need, prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """A repository with the bundled model in it, where commands are given."""
    (tmp_path / "claims").mkdir()
    shutil.copy(ROOT / "models.yaml", tmp_path)
    shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bundled() -> tuple[Model, Artifact]:
    model = models.load()["smoke-vlm"]
    return model, model.artifact("fp16", ("safetensors",))


def test_it_is_copied_whole_and_nothing_is_fetched(checkout: Path) -> None:
    model, artifact = bundled()
    expected = need(model, artifact)
    assert (expected.present, expected.download_bytes) == (False, 0)
    made = prepare(model, artifact, offline=True)
    assert identity(model, artifact) == f"bundled:{made.sha256}"
    assert made.bytes == expected.disk_bytes
    for path in made.path.iterdir():
        assert path.read_bytes() == (checkout / "models" / "smoke-vlm" / path.name).read_bytes()
    assert need(model, artifact).present


def test_a_checkout_that_changes_later_changes_no_artifact(checkout: Path) -> None:
    made = prepare(*bundled())
    shutil.rmtree(checkout / "models")
    assert prepare(*bundled()) == made


def test_a_file_that_is_not_as_named_is_refused(checkout: Path) -> None:
    with (checkout / "models" / "smoke-vlm" / "model.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadFile, match=r"models/smoke-vlm: sha256 .* should be 6c48"):
        prepare(*bundled())


def test_a_file_that_lacks_is_named(checkout: Path) -> None:
    (checkout / "models" / "smoke-vlm" / "tokenizer.json").unlink()
    with pytest.raises(BadFile, match=r"models/smoke-vlm/tokenizer\.json: No such file"):
        prepare(*bundled())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("folder: models/smoke-vlm", "folder: ../elsewhere"),
        ("- config.json", "- ../config.json"),
        ("- config.json", "- modeling.py"),
    ],
)
def test_only_data_of_this_repository_may_be_listed(tmp_path: Path, old: str, new: str) -> None:
    text = (ROOT / "models.yaml").read_text()
    at = text.index("kind: bundled")
    (tmp_path / "models.yaml").write_text(text[:at] + text[at:].replace(old, new, 1))
    with pytest.raises(BadFile, match=r"source\.bundled\."):
        models.load(tmp_path / "models.yaml")
