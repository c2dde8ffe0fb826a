"""GGUF files made here hold what their folder holds: llama.cpp answers as transformers does.

The smoke VLM's are tested in test_llamacpp_vision.py. These are small random models of shapes that
it has not: more heads than keys, weights of their own at the head, pictures in tiles.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from llamas import runtime
from test_llamacpp_vision import picture
from test_transformers_vision import runtime as transformers_runtime
from tiny_models import write_model
from tiny_vlms import TILE, TILE_TOKENS, write_vlm
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.prepare import export_gguf
from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.llamacpp import LlamaCpp

TEXT = "Zoë paid 3 €:\n\n日本語 <|im_start|>user\nHi 1234<|im_end|>\n"


def merged(folder: Path, piece: str = "Ċ") -> Path:
    """The folder with a merge in its tokenizer: llama.cpp reads none without."""
    path = folder / "tokenizer.json"
    whole = json.loads(path.read_text())
    vocabulary = whole["model"]["vocab"]
    vocabulary[2 * piece] = max(vocabulary.values()) + 1
    whole["model"]["merges"] = [[piece, piece]]
    path.write_text(json.dumps(whole))
    return folder


def exported(folder: Path, precision: str = "f16", **changes: Any) -> LlamaCpp:
    target = folder.with_name("exported")
    export_gguf.main(folder, target, precision)
    return runtime(target, **changes)


def near(found: list[tuple[int, float]], logits: torch.Tensor, distance: float) -> None:
    """Each of the likeliest tokens is as likely in both."""
    there = torch.log_softmax(logits.float(), -1)
    assert found[0][0] == int(there.argmax())
    for token, logprob in found:
        assert logprob == pytest.approx(float(there[token]), abs=distance)


@pytest.mark.parametrize(
    ("changes", "precision", "distance"),
    [
        ({}, "f16", 0.05),
        ({"tie_word_embeddings": True}, "f16", 0.05),
        ({"dtype": "bfloat16"}, "f16", 0.05),
        ({"attention_bias": True}, "f16", 0.05),
        ({"num_key_value_heads": 4, "rope_theta": 1e6, "rms_norm_eps": 1e-3}, "f16", 0.05),
        ({}, "Q8_0", 0.3),
    ],
    ids=str,
)
def test_a_llama_answers_as_in_transformers(
    changes: dict[str, Any], precision: str, distance: float, tmp_path: Path
) -> None:
    folder = merged(write_model(tmp_path / "model", **changes))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, weight in model.named_parameters():
        if name.endswith(".bias"):  # drawn as zeros, which any order would fit
            torch.nn.init.normal_(weight.data)
    model.to(getattr(torch, changes.get("dtype", "float32"))).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = exported(folder, precision)
    ids = found.tokenize(TEXT)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert ids == tokenizer.encode(TEXT, add_special_tokens=False)
    assert found.chat_template() == tokenizer.get_chat_template()
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    near(found.evaluate(ids, 1, stop_at_end=False, top=5).first_logprobs, logits, distance)


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    folder = merged(write_model(tmp_path / "model"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    whole = exported(folder).evaluate([1, 2, 3], 6, stop_at_end=False).tokens
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    export_gguf.main(folder, tmp_path / "again", "f16")
    assert runtime(tmp_path / "again").evaluate([1, 2, 3], 6, stop_at_end=False).tokens == whole


@pytest.mark.parametrize("tokens", [290, 310])
def test_a_vocabulary_of_another_size_than_the_embeddings_is_refused(
    tokens: int, tmp_path: Path
) -> None:
    folder = merged(write_model(tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": tokens}))
    with pytest.raises(ArtifactRefused, match=f"token_embd.weight.*expected.*{tokens}.*got.*300"):
        exported(folder)


def test_a_context_longer_than_the_models_window_is_refused(tmp_path: Path) -> None:
    folder = merged(write_model(tmp_path / "model"))
    assert exported(folder, context=512).applied()["settings"]["context"] == 512
    with pytest.raises(ArtifactRefused, match="context of 768 tokens: the model's window is 512"):
        runtime(tmp_path / "exported", context=768)


# Pictures in tiles


@pytest.mark.parametrize("family", ["idefics3", "smolvlm"])
def test_tiles_stand_in_a_prompt_as_in_transformers(family: str, tmp_path: Path) -> None:
    """Pictures of many shapes: the same ids, and so the same tiles, in the same order."""
    folder = merged(write_vlm(tmp_path / "model", family))
    found, other = exported(folder, context=512), transformers_runtime(folder)
    draw = random.Random(1)
    shapes = [(TILE, TILE), (3 * TILE, TILE), (2, 2)]
    shapes += [(draw.randint(8, 200), draw.randint(8, 200)) for _ in range(40)]
    tiles = set()
    for shape in shapes:
        images = [picture(*shape), picture(*shape[::-1])]
        here, there = (one.see("One: <image> Two: <image>?", images) for one in (found, other))
        assert (here.ids, here.image_tokens) == (there.ids, there.image_tokens), shape
        tiles.add(here.image_tokens)
    assert len(tiles) == 3


def test_a_model_that_does_not_cut_gets_pictures_whole(tmp_path: Path) -> None:
    folder = merged(write_vlm(tmp_path / "model"))
    path = folder / "processor_config.json"
    whole = json.loads(path.read_text())
    whole["image_processor"]["do_image_splitting"] = False
    path.write_text(json.dumps(whole))
    found, other = exported(folder), transformers_runtime(folder)
    for shape in ((96, 96), (TILE, TILE), (40, 90)):
        here, there = (one.see("<image>?", [picture(*shape)]) for one in (found, other))
        assert here.ids == there.ids
        assert here.image_tokens == TILE_TOKENS


@pytest.mark.parametrize("family", ["idefics3", "smolvlm"])
def test_tiles_are_answered_as_in_transformers(family: str, tmp_path: Path) -> None:
    folder = merged(write_vlm(tmp_path / "model", family))
    found, other = exported(folder, context=512), transformers_runtime(folder)
    for shape in ((96, 96), (40, 90), (96, 30), (200, 120)):
        answers = [
            one.evaluate(one.see("<image> What?", [picture(*shape)]), 2, stop_at_end=False, top=5)
            for one in (found, other)
        ]
        here, there = (dict(answer.first_logprobs) for answer in answers)
        assert answers[0].first_logprobs[0][0] == answers[1].first_logprobs[0][0]
        for token in here.keys() & there.keys():
            assert here[token] == pytest.approx(there[token], abs=0.1)
        assert answers[0].evaluated_tokens == answers[1].evaluated_tokens


def test_a_vocabulary_without_the_line_before_the_overview_is_refused(tmp_path: Path) -> None:
    """mtmd sets two line ends as one token, be there one or not."""
    found = exported(merged(write_vlm(tmp_path / "model"), "a"), context=512)
    with pytest.raises(ArtifactRefused, match="token beside an image that the vocabulary lacks"):
        found.see("<image>", [picture(96, 96)])
