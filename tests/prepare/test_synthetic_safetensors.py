"""Generated weights as a safetensors folder: what transformers makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from harness.ask import models
from harness.ask.geometry import Architecture
from harness.ask.models import Artifact, Model
from harness.prepare import prepare, synthetic_safetensors

Build = Callable[..., tuple[Model, Artifact]]
Loaded = dict[str, tuple[Model, dict[str, Any]]]
TEXT = "A é\n"
CHECKOUT = Path(__file__).parents[2]
ARCHITECTURES = get_args(Architecture)


@pytest.fixture
def tiny(synthetic: Build) -> Build:
    return synthetic


# One process for all: importing torch and transformers takes longer than loading these.
LOAD = """
import json, sys
import torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from harness.run.runtimes import settings_for
from harness.run.runtimes.transformers import Transformers

PROMPT = [1, 5, 77, 200]
said = []
for path in sys.argv[2:]:
    ours = Transformers()
    asked = settings_for("transformers", "cpu", 1, 64, "bf16", architecture=Path(path).name)
    ours.load(path, asked)
    ours.create_context()
    model, info = AutoModelForCausalLM.from_pretrained(
        path, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    with torch.inference_mode():
        logits = model(torch.tensor([PROMPT])).logits.float()
    kinds = getattr(model.config, "layer_types", None) or []
    said.append({
        "class": type(model).__name__,
        "problems": {name: sorted(found) for name, found in info.items() if found},
        "parameters": sum(one.numel() for one in model.parameters()),
        "dtypes": sorted({str(one.dtype) for one in model.parameters()}),
        "global_layers": kinds.count("full_attention"),
        "finite": bool(logits.isfinite().all()),
        "spread": float(logits.std()),
        "likeliest": int(logits[0, -1].argmax()),
        "first": ours.evaluate(PROMPT, 2, stop_at_end=False).tokens[0],
        "asked": vars(asked),
        "applied": ours.applied()["settings"],
        "synthetic": model.config.claimbench_weights,
        "tokens": AutoTokenizer.from_pretrained(path, local_files_only=True).encode(sys.argv[1]),
    })
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, synthetic: Build) -> Loaded:
    """By architecture: a small model and what transformers says of it."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("folders")
    built = {}
    for architecture in ARCHITECTURES:
        model, _ = synthetic("bf16", architecture=architecture)
        synthetic_safetensors.write(model, "bf16", 1, folder / architecture, lambda done: None)
        built[architecture] = model
    command = [sys.executable, "-c", LOAD, TEXT, *(str(folder / one) for one in built)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    return {name: (built[name], one) for name, one in zip(built, said, strict=True)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transformers_loads_every_tensor_and_misses_none(loaded: Loaded, architecture: str) -> None:
    model, said = loaded[architecture]
    assert said["class"] == synthetic_safetensors._CLASSES[architecture][1]
    assert said["problems"] == {}
    assert said["parameters"] == model.geometry.parameters()
    assert said["dtypes"] == ["torch.bfloat16"]
    if model.geometry.window:
        assert said["global_layers"] == model.geometry.global_layers
    assert said["finite"]
    assert 0.001 < said["spread"] < 100


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_runtime_takes_it_with_the_options_of_its_architecture(
    loaded: Loaded, architecture: str
) -> None:
    _, said = loaded[architecture]
    assert said["applied"] == said["asked"]
    assert said["first"] == said["likeliest"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_folder_says_what_it_is(loaded: Loaded, architecture: str) -> None:
    assert loaded[architecture][1]["synthetic"] == "synthetic"
    assert loaded[architecture][1]["tokens"] == list(TEXT.encode())


def test_the_files_say_so_too(cache: Path, tiny: Build) -> None:
    made = prepare(*tiny("bf16")).path
    (shard,) = made.glob("*.safetensors")
    assert table(shard)["__metadata__"] == {"format": "pt", "claimbench.weights": "synthetic"}
    assert "synthetic" in made.name
    assert "stand-in" in (made / "tokenizer_config.json").read_text()


def test_large_models_come_in_shards_that_hold_each_tensor_once(
    cache: Path, tiny: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_safetensors, "_SHARD", 300_000)
    model, artifact = tiny("bf16")
    made = prepare(model, artifact).path
    index = json.loads((made / "model.safetensors.index.json").read_text())
    shards = sorted(made.glob("*.safetensors"))
    assert len(shards) > 1
    found = {}
    for shard in shards:
        listed = table(shard)
        listed.pop("__metadata__")
        end = max(one["data_offsets"][1] for one in listed.values())
        assert end == sum(a[1] - a[0] for a in (one["data_offsets"] for one in listed.values()))
        assert not found.keys() & listed.keys()
        found |= dict.fromkeys(listed, shard.name)
    assert found == index["weight_map"]
    assert index["metadata"]["total_size"] == 2 * model.geometry.parameters()


def table(shard: Path) -> dict[str, Any]:
    with shard.open("rb") as file:
        found: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return found


def test_every_model_has_a_class_in_transformers() -> None:
    shapes = (model.geometry for model in models.load().values())
    architectures = {shape.architecture for shape in shapes if shape}  # hosted models show none
    assert architectures <= set(synthetic_safetensors._CLASSES) == set(ARCHITECTURES)
