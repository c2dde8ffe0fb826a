"""A hub with one repository, a client that knows no other, and models out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT, FOLDER, REPO, WEIGHTS, Hub, Repo
from huggingface_hub import constants

from harness.ask.models import Artifact, HubSource, Model
from harness.prepare import hub as source

Build = Callable[..., tuple[Model, Artifact]]


@pytest.fixture
def hub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and a client that knows no other and has no token."""
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
                "sha256": hashlib.sha256(data).hexdigest() if known else None,
                "bytes": len(data) if known else None,
            }
            for name, data in named.items()
        ]
        facts = {"kind": "hub", "repo": REPO, "revision": COMMIT, "files": rows}
        made = HubSource.model_validate(facts | changes)
        artifact = Artifact(format="gguf", quantisation="Q4_0", source=made)
        return synthetic()[0].model_copy(update={"artifacts": [artifact]}), artifact

    return build
