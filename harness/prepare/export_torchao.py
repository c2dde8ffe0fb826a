"""Quantises a safetensors folder with torchao for transformers; run by `harness.prepare.export`.

Weights of linear layers become 8 bits with a scale for each row; they are multiplied as the model
computes, in fp32. Embeddings, norms and the tower's convolution stay in fp32.

Not here: 4 bits. torchao 0.18 wants CUDA kernels for them (mslk), or keeps each in 8 bits;
`export_bitsandbytes` has them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torchao.quantization import Int8WeightOnlyConfig
from transformers import TorchAoConfig

from harness.prepare.export_quantised import export
from harness.prepare.tool import refuse_network

CONFIGS = {"int8": Int8WeightOnlyConfig}


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    export(Path(sys.argv[1]), Path(sys.argv[2]), TorchAoConfig(CONFIGS[sys.argv[3]]()))
