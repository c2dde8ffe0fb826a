"""Quantises a safetensors folder with bitsandbytes; run by `harness.prepare.export`.

Weights of linear layers become 4 bits: which of 16 values that suit a normal distribution (NF4),
times a scale in fp32 for each 64. To be multiplied they are turned back, a layer at a time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import BitsAndBytesConfig

from harness.prepare.export_quantised import export
from harness.prepare.tool import refuse_network

CONFIGS = {
    "nf4": {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": torch.float32,
    }
}


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    export(Path(sys.argv[1]), Path(sys.argv[2]), BitsAndBytesConfig(**CONFIGS[sys.argv[3]]))
