"""The source `export`: what an export's identity and cost are, and how one fails.

The real exporter's folders are held against transformers in tests/run/test_onnx.py. Here a module
that writes one file stands for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.ask import models
from harness.ask.models import Artifact, ExportSource, Model
from harness.errors import BadFile, MissingError, NotEnough, UnknownName
from harness.prepare import export, export_torch, identity, need, prepare

EXPORTER = """
import os, sys
from pathlib import Path

origin, target, precision = sys.argv[1:]
print("last words")
if precision == "int4":
    raise SystemExit(3)
Path(target).mkdir()
offline = ",".join(name for name in ("HF_HUB_OFFLINE", "ORT_DISABLE_TELEMETRY") if os.environ[name])
Path(target, "model.onnx").write_text(f"{Path(origin).name} {precision} {offline}")
"""


def exported(model: Model, precision: str = "fp32", **source: object) -> tuple[Model, Artifact]:
    """The model with an export of its one artifact, which is synthetic unless told otherwise."""
    origin = model.artifacts[0]
    facts = {
        "kind": "export",
        "of": {"format": origin.format, "quantisation": origin.quantisation},
        "exporter": "genai",
        "weights": origin.weights,
    }
    artifact = Artifact(
        format="onnx",
        quantisation=precision,
        source=ExportSource.model_validate(facts | source),
    )
    whole = model.model_dump() | {"artifacts": [origin.model_dump(), artifact.model_dump()]}
    return Model.model_validate(whole), artifact


@pytest.fixture
def model(synthetic: Callable[..., tuple[Model, Artifact]], cache: Path) -> Model:
    return synthetic()[0]


@pytest.fixture
def exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stand_in.py").write_text(EXPORTER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    stand_in = replace(export._EXPORTERS["genai"], module="stand_in")
    monkeypatch.setitem(export._EXPORTERS, "genai", stand_in)


def test_an_export_is_made_once_from_its_origin(model: Model, exporter: None) -> None:
    whole, artifact = exported(model)
    assert artifact.weights == "synthetic"
    asked = need(whole, artifact)
    assert (asked.present, asked.download_bytes) == (False, 0)
    made = prepare(whole, artifact)
    text = (made.path / "model.onnx").read_text()
    assert text == "tiny-Q4_0.synthetic.gguf fp32 HF_HUB_OFFLINE,ORT_DISABLE_TELEMETRY"
    assert made.path.name == "tiny-fp32.onnx"
    assert need(whole, artifact).present
    assert need(whole, whole.artifacts[0]).present
    assert prepare(whole, artifact) == made


def test_its_cost_holds_the_origins(model: Model) -> None:
    whole, artifact = exported(model)
    weights = model.geometry.parameters()
    before = need(whole, artifact).disk_bytes
    assert before > 8 * weights  # as the exporter reads them, and as it writes them
    origin = need(whole, whole.artifacts[0]).disk_bytes
    prepare(whole, whole.artifacts[0])
    assert need(whole, artifact).disk_bytes == before - origin


@pytest.mark.parametrize(
    "change",
    [
        {"quantisation": "int4"},
        {"version": "onnxruntime-genai"},
        {"version": "transformers"},
        {"seed": 2},
    ],
    ids=str,
)
def test_what_its_bytes_follow_from_is_its_identity(
    change: dict[str, object],
    model: Model,
    synthetic: Callable[..., tuple[Model, Artifact]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, artifact = exported(model)
    before = identity(whole, artifact)
    if "seed" in change:
        whole, artifact = exported(synthetic(seed=2)[0])
    elif "version" in change:
        real = export._version
        monkeypatch.setattr(
            export, "_version", lambda name: "0" if name == change["version"] else real(name)
        )
    else:
        whole, artifact = exported(model, str(change["quantisation"]))
    assert identity(whole, artifact) != before


def test_a_missing_package_is_named(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_version", lambda name: None if name == "torch" else "1")
    with pytest.raises(MissingError, match=r"needs torch; run: .*claimbench\[export\]"):
        prepare(*exported(model))


def test_too_little_memory(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "memory_available", lambda: 1 << 20)
    with pytest.raises(NotEnough, match=r"not enough memory: 1\.00 GiB needed, 0\.00 GiB there"):
        prepare(*exported(model))


def test_an_exporter_that_fails_leaves_its_last_words_and_nothing_else(
    model: Model, exporter: None, cache: Path
) -> None:
    with pytest.raises(BadFile, match="exporting tiny ended with status 3: last words"):
        prepare(*exported(model, "int4"))
    left = [path for path in cache.rglob("*") if path.is_file() and "onnx-int4" in str(path)]
    assert [path.name for path in left] == [".lock"]


def test_a_precision_that_the_exporter_does_not_know(model: Model) -> None:
    with pytest.raises(UnknownName, match="unknown precision to export 'fp8'"):
        need(*exported(model, "fp8"))


def test_an_export_says_what_its_origin_is(model: Model) -> None:
    with pytest.raises(ValueError, match="fp32: the origin is synthetic"):
        exported(model, weights="real")
    with pytest.raises(ValueError, match="no gguf Q8_0 of Tiny to export"):
        exported(model, of={"format": "gguf", "quantisation": "Q8_0"})
    with pytest.raises(ValueError, match="no onnx fp32 of Tiny to export"):
        exported(model, of={"format": "onnx", "quantisation": "fp32"})


@pytest.mark.parametrize(
    ("name", "origin", "more"),
    [
        ("smollm2-135m-instruct", "sha256:b179c952", []),
        ("smoke-vlm", "bundled:6c48d230", ["w8a16"]),
    ],
)
def test_the_real_models_exports_are_real(name: str, origin: str, more: list[str]) -> None:
    found = models.load()[name]
    artifacts = [one for one in found.artifacts if one.format == "onnx"]
    assert [one.quantisation for one in artifacts] == ["fp32", "int8", "int4", *more]
    assert {one.weights for one in artifacts} == {"real"}
    facts = json.loads(identity(found, artifacts[0]).removeprefix("export:"))
    assert facts["origin"].startswith(origin)
    assert None not in facts["versions"].values()


def test_a_vision_part_and_the_head_are_in_the_cost() -> None:
    """Graphs in parts have tied embeddings twice."""
    found = models.load()["smoke-vlm"]
    asked = need(found, found.artifact("fp32", ("onnx",)))
    written = 2_179_264 + 384 * 192
    assert asked.present or asked.disk_bytes >= 8 * written


def test_a_family_that_is_not_known(tmp_path: Path) -> None:
    """Before anything is exported, with words that reach the user."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "vocab_size": 64}
    config = LlavaConfig(
        vision_config={"model_type": "siglip_vision_model", "image_size": 28, **small, **heads},
        text_config={"model_type": "llama", **small, **heads},
    )
    LlavaForConditionalGeneration(config).save_pretrained(tmp_path / "llava")
    with pytest.raises(SystemExit, match="llava is not idefics3 or smolvlm"):
        export_torch.main(tmp_path / "llava", tmp_path / "out", "fp32")
