"""Tables of angles: those of transformers but for rounding, also where YaRN stretches them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.ask import models
from harness.prepare import onnx_rotary, synthetic_safetensors

MODELS = models.load()
YARN: dict[str, Any] = {"yarn_factor": 4, "yarn_original_context": 32768}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ministral-3-3b-instruct", {}),
        ("smollm3-3b", {}),
        ("qwen2.5-3b-instruct", YARN),
        ("smollm2-135m-instruct", {}),
    ],
)
def test_angles_are_those_of_transformers(name: str, changes: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    found = MODELS[name]
    shape = found.geometry.model_copy(update={"context": 1000, **changes})
    config = synthetic_safetensors._config(found.model_copy(update={"geometry": shape}))
    theirs = LlamaRotaryEmbedding(AutoConfig.for_model(**config))
    expected = theirs(torch.zeros(1), torch.arange(shape.context)[None])
    for name, one in zip(("cos", "sin"), expected, strict=True):
        half = one[0, :, : shape.head_dim // 2].numpy()
        np.testing.assert_allclose(onnx_rotary.tables(shape)[name], half, atol=2e-4)


def test_local_layers_of_gemma_3_turn_by_their_own() -> None:
    import torch
    from transformers import AutoConfig
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding

    found = MODELS["gemma-3-4b-it"]
    shape = found.geometry.model_copy(update={"context": 1000})
    config = synthetic_safetensors._config(found.model_copy(update={"geometry": shape}))
    theirs, places = Gemma3RotaryEmbedding(AutoConfig.for_model(**config)), torch.arange(1000)[None]
    tables = onnx_rotary.tables(shape)
    for kind, ending in (("full_attention", ""), ("sliding_attention", ".local")):
        for name, one in zip(("cos", "sin"), theirs(torch.zeros(1), places, kind), strict=True):
            half = one[0, :, : shape.head_dim // 2].numpy()
            np.testing.assert_allclose(tables[name + ending], half, atol=2e-4)
