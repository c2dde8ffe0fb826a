"""What transformers must refuse, and what it must never do: fetch, or run a model's code."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file, save_file
from sessions import tiny
from tiny_models import WINDOW, write_model

from harness.prepare import prepare
from harness.run.runtimes import ArtifactRefused, NoRoom, settings_for
from harness.run.runtimes.transformers import Transformers

SETTINGS = settings_for("transformers", "cpu", threads=1, context=256)
Damage = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def load(path: Path) -> Transformers:
    found = Transformers()
    found.load(str(path), SETTINGS)
    return found


def without(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def lacking(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def misshapen(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(63)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def configured(**changes: Any) -> Damage:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without("config.json"), "config"),
        (without("model.safetensors"), "model.safetensors"),
        (pickled, "model.safetensors"),
        (cut, "SafetensorError"),
        (lacking, "1 weights are missing, model.layers.1.mlp.up_proj.weight"),
        (misshapen, "size|shape|mismatch"),
        (configured(model_type="unheard-of"), "unheard-of"),
        (configured(num_hidden_layers=4), "weights are missing"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(damage: Damage, reason: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(ArtifactRefused, match=reason):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(content)
    with pytest.raises(ArtifactRefused, match=r"\w"):
        load(path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="No such file"):
        load(tmp_path / "nothing")


@pytest.fixture
def gguf(cache: Path) -> Path:
    """Without a tokenizer, as synthetic weights are."""
    model = tiny()
    return prepare(model, model.artifacts[0]).path


def test_a_gguf_file_without_a_tokenizer_still_runs(gguf: Path) -> None:
    found = load(gguf)
    found.create_context()
    assert len(found.evaluate([5, 6], 3, stop_at_end=True).tokens) == 3
    with pytest.raises(ArtifactRefused, match="no tokenizer"):
        found.tokenize("a")


def test_a_cut_gguf_file_is_refused(gguf: Path, tmp_path: Path) -> None:
    path, whole = tmp_path / "cut.gguf", gguf.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactRefused, match=r"\w"):
        load(path)


def test_a_context_or_a_prompt_that_is_too_long_is_refused(folder: Path) -> None:
    found = Transformers()
    found.load(str(folder), replace(SETTINGS, context=WINDOW + 1))
    with pytest.raises(ArtifactRefused, match="a context of 513 tokens: the model's window is 512"):
        found.create_context()
    found.load(str(folder), replace(SETTINGS, context=16))
    found.create_context()
    with pytest.raises(ArtifactRefused, match="17 tokens; the context has 16"):
        found.evaluate([5] * 17, 1, stop_at_end=False)
    with pytest.raises(NoRoom, match="no room in the context of 16 tokens"):
        found.evaluate([5] * 10, 8, stop_at_end=False)
    assert found.evaluate([5] * 10, 7, stop_at_end=False).evaluated_tokens == 10


def test_weights_without_a_tokenizer_still_run(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    found = load(folder)
    found.create_context()
    assert len(found.evaluate([5, 6], 3, stop_at_end=False).tokens) == 3
    for text in (lambda: found.tokenize("a"), lambda: found.detokenize([5]), found.chat_template):
        with pytest.raises(ArtifactRefused, match="no tokenizer"):
            text()


@pytest.mark.parametrize("trap", ["model", "tokenizer", "generate"])
def test_code_that_came_with_a_model_is_never_run(trap: str, folder: Path) -> None:
    sprung = folder / "sprung"
    code = f"open({str(sprung)!r}, 'w')\n"
    if trap == "model":
        configured(
            model_type="own",
            auto_map={"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
        )(folder)
    elif trap == "tokenizer":
        path = folder / "tokenizer_config.json"
        own = {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}
        path.write_text(json.dumps(json.loads(path.read_text()) | own))
    (folder / "own.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    try:
        found = load(folder)
        found.create_context()
        found.evaluate([5, 6], 2, stop_at_end=True)
    except ArtifactRefused:
        assert trap == "model"
    assert not sprung.exists()


def test_nothing_is_fetched(folder: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor asked for where something is missing."""
    called: list[str] = []

    def call(*to: Any, **_: Any) -> NoReturn:
        called.append(str(to))
        raise OSError("no network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, call)
    monkeypatch.setattr(socket, "getaddrinfo", call)
    load(folder).tokenize("a")
    load(gguf)
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        (folder / name).unlink()
        with pytest.raises(ArtifactRefused):
            load(folder).tokenize("a")
    assert called == []


def test_want_of_memory_is_not_the_artifacts_fault(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m", max_position_embeddings=10**12)
    found = Transformers()
    found.load(str(path), replace(SETTINGS, context=10**12))
    with pytest.raises(RuntimeError, match="allocate memory"):
        found.create_context()
