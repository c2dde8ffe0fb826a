"""Exports a GGUF file with onnxruntime-genai's model builder; run by `harness.prepare.export`.

Transformers reads the file, dequantised to fp32, with its tokenizer and chat template; the builder
makes the graph. Greedy decoding needs the last token's logits alone, so that the graph gives no
others, as llama.cpp gives no others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness.prepare.tool import refuse_network


def main(origin: Path, target: Path, precision: str) -> None:
    weights = target.with_name("weights")
    _dequantise(origin, weights)
    _build(weights, target, precision)


def _dequantise(origin: Path, weights: Path) -> None:
    """The model as a folder that the builder reads."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    given: dict[str, Any] = {"gguf_file": origin.name, "local_files_only": True}
    dense = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        origin.parent, dtype=torch.float32, quantization_config=dense, **given
    )
    model.save_pretrained(weights)
    AutoTokenizer.from_pretrained(origin.parent, **given).save_pretrained(weights)


def _build(weights: Path, target: Path, precision: str) -> None:
    """Through the builder's own parser: alone it knows what else belongs to a request."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    request = (None, str(weights), str(target), precision, "cpu", str(target.with_name("builder")))
    create_model(*request, **parse_extra_options(*request, ["prune_lm_head=true"]))


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
