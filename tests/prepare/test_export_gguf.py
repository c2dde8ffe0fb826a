"""The exporter `gguf`: what it writes for the smoke VLM, and what it will not write."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import pytest

from harness.ask import models
from harness.prepare.export_gguf import main

SMOKE = Path(__file__).parents[2] / "models" / "smoke-vlm"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The smoke VLM at every precision that its row in models.yaml has."""
    rows = [one for one in models.load()["smoke-vlm"].artifacts if one.format == "gguf"]
    folders = {row.quantisation: tmp_path_factory.mktemp("gguf") / "made" for row in rows}
    for precision, folder in folders.items():
        main(SMOKE, folder, precision)
    return folders


def read(folder: Path, part: str) -> Any:
    return gguf.GGUFReader(folder / f"{part}.gguf")


def value(reader: Any, name: str) -> Any:
    return reader.get_field(name).contents()


def kinds(reader: Any) -> Counter[str]:
    return Counter(tensor.tensor_type.name for tensor in reader.tensors)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SMOKE, tmp_path / "copied"))


def change(path: Path, *keys: str, to: Any) -> None:
    """Sets one value in a JSON file."""
    whole = found = json.loads(path.read_text())
    for key in keys[:-1]:
        found = found[key]
    found[keys[-1]] = to
    path.write_text(json.dumps(whole))


def test_every_precision_is_two_files_that_say_what_they_are(exported: dict[str, Path]) -> None:
    assert set(exported) == {"f16", "Q8_0", "Q4_0"}
    for precision, folder in exported.items():
        assert [path.name for path in sorted(folder.iterdir())] == ["mmproj.gguf", "model.gguf"]
        model, projector = read(folder, "model"), read(folder, "mmproj")
        kind = gguf.LlamaFileType[f"MOSTLY_{precision.upper()}"]
        assert value(model, "general.file_type") == kind
        assert value(model, "general.architecture") == "llama"
        assert value(projector, "general.architecture") == "clip"
        assert value(projector, "clip.projector_type") == "idefics3"
        assert value(projector, "clip.vision.projector.scale_factor") == 2


def test_what_stays_at_a_higher_precision(exported: dict[str, Path]) -> None:
    """Norms and biases always; the tower's embeddings; at Q4_0 the head and the whole tower."""
    for precision, folder in exported.items():
        whole = kinds(read(folder, "model")) + kinds(read(folder, "mmproj"))
        assert whole["F32"] == 7 + 3 + 4 * 10 + 2
        rest = {name: count for name, count in whole.items() if name != "F32"}
        expected = {"f16": {"F16": 47}, "Q8_0": {"Q8_0": 47}, "Q4_0": {"Q8_0": 26, "Q4_0": 21}}
        assert rest == expected[precision], whole


def test_rows_of_the_embeddings_without_a_token_are_unused(exported: dict[str, Path]) -> None:
    reader = read(exported["f16"], "model")
    tokens = value(reader, "tokenizer.ggml.tokens")
    types = value(reader, "tokenizer.ggml.token_type")
    assert len(tokens) == len(types) == 384
    assert tokens[4] == "<image>"
    assert set(types[:7]) == {gguf.TokenType.CONTROL}
    assert set(types[7:359]) == {gguf.TokenType.NORMAL}
    assert set(types[359:]) == {gguf.TokenType.UNUSED}
    assert len(set(tokens)) == 384


@pytest.mark.parametrize(
    ("file", "keys", "to", "reason"),
    [
        ("config.json", ("text_config", "vocab_size"), 300, "token 358 has no embedding"),
        ("config.json", ("text_config", "hidden_act"), "gelu", "Llama has silu"),
        ("config.json", ("vision_config", "hidden_act"), "gelu", "this tower gelu"),
        ("config.json", ("vision_config", "image_size"), 128, "tiles of 64 pixels"),
        (
            "config.json",
            ("text_config", "rope_parameters"),
            {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
            "RoPE of type linear",
        ),
        ("tokenizer.json", ("normalizer",), {"type": "NFC"}, "without normaliser"),
        ("tokenizer.json", ("model", "merges"), [], "without merges"),
        ("tokenizer.json", ("pre_tokenizer",), {"type": "Whitespace"}, "splits by"),
        ("processor_config.json", ("image_processor",), {}, "no image processor"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_would_be_written_wrong_is_refused(
    file: str, keys: tuple[str, ...], to: Any, reason: str, copied: Path, tmp_path: Path
) -> None:
    change(copied / file, *keys, to=to)
    with pytest.raises(SystemExit, match=reason):
        main(copied, tmp_path / "target", "f16")
