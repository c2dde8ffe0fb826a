"""Rows of models.yaml that name a hub's files: what may be listed, and what has to be said."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.ask import models
from harness.ask.models import Artifact, Model
from harness.errors import BadFile

Build = Callable[..., tuple[Model, Artifact]]

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
