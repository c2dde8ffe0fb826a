"""Quantises a safetensors folder with torchao for transformers; run by `harness.prepare.export`.

Weights of linear layers become 8 bits with a scale for each row; they are multiplied as the model
computes, in fp32. Embeddings, norms and the tower's convolution stay in fp32.

Not here: 4 bits. torchao 0.18 wants CUDA kernels for them (mslk), or keeps each in 8 bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torchao.quantization import Int8WeightOnlyConfig
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    TorchAoConfig,
)

from harness.prepare.export_torch import copy_texts
from harness.prepare.tool import refuse_network

CONFIGS = {"int8": Int8WeightOnlyConfig}


def main(origin: Path, target: Path, precision: str) -> None:
    config = AutoConfig.from_pretrained(origin, local_files_only=True)
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    loader = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model = loader.from_pretrained(
        origin,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        quantization_config=TorchAoConfig(CONFIGS[precision]()),
    )
    target.mkdir()
    copy_texts(origin, target)
    model.save_pretrained(target)  # last: its configuration says how it is quantised


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
