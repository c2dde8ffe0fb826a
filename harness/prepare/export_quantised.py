"""Quantises a safetensors folder as transformers loads it, and writes it as transformers reads it.

For exporters that leave the work to a library which transformers knows by a configuration. Other
than what such a library takes, weights stay in fp32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from harness.prepare.export_torch import copy_texts


def export(origin: Path, target: Path, how: Any) -> None:
    """`how` is the library's configuration, of one of transformers' own classes."""
    config = AutoConfig.from_pretrained(origin, local_files_only=True)
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    loader = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model = loader.from_pretrained(
        origin,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        quantization_config=how,
    )
    target.mkdir()
    copy_texts(origin, target)
    model.save_pretrained(target)  # last: its configuration says how it is quantised
