"""What ONNX Runtime is not given: each is refused by name, and nothing of it is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import tiny_onnx
from tiny_onnx import SETTINGS, runtime

from harness.run.runtimes import ArtifactRefused, NoRoom
from harness.run.runtimes.onnx import Onnx

LAYOUTS = ("one", "parts")


@pytest.fixture(scope="module")
def reference() -> Any:
    return tiny_onnx.transformers_model()


@pytest.fixture(scope="module", params=LAYOUTS)
def folder(request: pytest.FixtureRequest, reference: Any, tmp_path_factory: Any) -> Path:
    place: Path = tmp_path_factory.mktemp(request.param)
    return tiny_onnx.write(place, reference, request.param)


@pytest.fixture
def copy(reference: Any, tmp_path: Path) -> Path:
    """Of the layout `one`, weights in a file beside the graph; to be spoilt."""
    return tiny_onnx.write(tmp_path / "copy", reference, external="weights.bin")


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(ArtifactRefused) as caught:
        found = runtime(folder, **changes)
        found.evaluate([1, 2, 3], 4, stop_at_end=False)
    return str(caught.value)


def test_a_folder_without_graphs(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "no decoder among the ONNX graphs: none"


def test_a_decoder_without_its_embedder(reference: Any, tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path, reference, "parts")
    (folder / "embed_tokens.onnx").unlink()
    assert refusal(folder).startswith("no embedder among the ONNX graphs: decoder_model_merged")


def test_two_decoders(copy: Path) -> None:
    shutil.copy(copy / "model.onnx", copy / "model_q4.onnx")
    assert refusal(copy) == "an artifact has one decoder, here are 2: model.onnx, model_q4.onnx"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_graph(share: float, reference: Any, tmp_path: Path) -> None:
    folder = tiny_onnx.write(tmp_path, reference)
    path = folder / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "model.onnx" in refusal(folder)


def test_a_graph_that_is_no_protobuf(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"not a model at all" * 100)
    assert refusal(copy).startswith("model.onnx is no whole ONNX model")


def test_external_data_that_is_missing(copy: Path) -> None:
    (copy / "weights.bin").unlink()
    assert "weights.bin" in refusal(copy)


def test_external_data_that_is_too_short(copy: Path) -> None:
    path = copy / "weights.bin"
    path.write_bytes(path.read_bytes()[:100])
    assert "model.onnx" in refusal(copy)


@pytest.mark.parametrize("where", ["../weights.bin", "absolute", "link"])
def test_external_data_outside_the_folder_is_never_read(where: str, copy: Path) -> None:
    outside = copy.parent / "weights.bin"
    (copy / "weights.bin").rename(outside)
    if where == "link":
        (copy / "weights.bin").symlink_to(outside)
    else:
        model = onnx.load(copy / "model.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = where if where != "absolute" else str(outside)
        (copy / "model.onnx").write_bytes(model.SerializeToString())
    assert refusal(copy).startswith("model.onnx: ")


def test_an_input_that_nobody_knows(copy: Path) -> None:
    model = onnx.load(copy / "model.onnx", load_external_data=False)
    info = onnx.helper.make_tensor_value_info("use_cache_branch", onnx.TensorProto.BOOL, [1])
    model.graph.input.append(info)
    (copy / "model.onnx").write_bytes(model.SerializeToString())
    assert refusal(copy) == "model.onnx wants use_cache_branch: not known here"


def test_a_context_longer_than_the_models(folder: Path) -> None:
    assert refusal(folder, context=65) == "65 tokens of context; the model's window is 64"


def test_a_prompt_longer_than_the_context(folder: Path) -> None:
    found = runtime(folder, context=16)
    with pytest.raises(NoRoom, match="17 tokens; the context has 16"):
        found.evaluate(list(range(17)), 1, stop_at_end=False)
    with pytest.raises(NoRoom, match="no room in the context of 16 tokens"):
        found.evaluate(list(range(10)), 8, stop_at_end=False)
    stopped = found.evaluate(list(range(10)), 8, stop_at_end=False, stop=lambda said: len(said) > 5)
    assert len(stopped.tokens) == 6
    assert found.evaluate(list(range(9)), 8, stop_at_end=False).evaluated_tokens == 9


def test_no_tokenizer(folder: Path) -> None:
    for use in (lambda: runtime(folder).tokenize("x"), lambda: runtime(folder).detokenize([1])):
        with pytest.raises(ArtifactRefused, match=r"no tokenizer\.json"):
            use()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "no"),
        ("config.json", "[1]"),
        ("config.json", ""),
    ],
)
def test_a_broken_file_beside_the_graphs(name: str, content: str, copy: Path) -> None:
    (copy / name).write_text(content)
    assert refusal(copy).startswith(name)


def test_a_chat_template_from_either_place(copy: Path) -> None:
    assert runtime(copy).chat_template() == ""
    config = copy / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "one"}))
    assert runtime(copy).chat_template() == "one"
    listed = [{"name": "rag", "template": "x"}, {"name": "default", "template": "two"}]
    config.write_text(json.dumps({"chat_template": listed}))
    assert runtime(copy).chat_template() == "two"
    (copy / "chat_template.jinja").write_text("three")
    assert runtime(copy).chat_template() == "three"


def test_an_operator_of_a_library_that_is_not_loaded(copy: Path) -> None:
    model = onnx.load(copy / "model.onnx", load_external_data=False)
    model.graph.node[-1].domain = "somebody.elses"
    model.opset_import.append(onnx.helper.make_opsetid("somebody.elses", 1))
    (copy / "model.onnx").write_bytes(model.SerializeToString())
    assert "somebody.elses" in refusal(copy)


def test_a_provider_that_is_not_here(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the CPU in its stead."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    found = Onnx()
    with pytest.raises(ArtifactRefused, match="no CUDAExecutionProvider: onnxruntime-gpu has it"):
        found.load(str(copy), replace(SETTINGS, device="cuda"))


def test_a_provider_that_is_here_and_takes_no_node(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.run.runtimes.onnx_providers import PROVIDERS, Provider

    monkeypatch.setitem(PROVIDERS, "npu", Provider("AzureExecutionProvider", "cpu", "onnxruntime"))
    found = Onnx()
    with pytest.raises(ArtifactRefused, match="fallback to CPU EP has been explicitly disabled"):
        found.load(str(copy), replace(SETTINGS, device="npu"))


def test_nothing_is_kept_or_sent_about_its_use(tmp_path: Path) -> None:
    """ONNX Runtime's own telemetry writes an identifier into the user's cache on import."""
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(tmp_path))
    environment = {name: one for name, one in os.environ.items() if not name.startswith("ORT_")}
    subprocess.run(
        [sys.executable, "-c", "import harness.run.runtimes.onnx, time; time.sleep(0.5)"],
        env={**environment, **places},
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert list(tmp_path.rglob("*")) == []
