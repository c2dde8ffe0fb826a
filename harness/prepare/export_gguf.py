"""Exports a safetensors folder as GGUF; run by `harness.prepare.export`.

Two files at the most: `model.gguf`, the text part, and `mmproj.gguf`, what turns an image into its
embeddings. Names and metadata are those that llama.cpp's own converter writes. The text part is of
the Llama family; the vision part is that of Idefics3 and SmolVLM. All else is refused.

A matrix takes the precision asked for; where its rows are no whole number of blocks, F16. What is
no matrix, and the tower's embeddings, stay F32. At Q4_0 two things are Q8_0: the output matrix (or
the embeddings that serve as such), which llama-quantize spares as well, and all of mmproj, for
llama.cpp publishes these at F16 and Q8_0 only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.utility import SafetensorsLocal

from harness.prepare import gguf_text, gguf_vision
from harness.prepare.tool import refuse_network

_BLOCKS = {"F32": (1, 4), "F16": (1, 2), "Q8_0": (32, 34), "Q4_0": (32, 18)}  # values, bytes
_DTYPES = {"F16": "<f2", "F32": "<f4", "BF16": "<u2"}


@dataclass(frozen=True)
class Tensor:
    """A tensor under its name in GGUF, read from the folder only when it is written."""

    name: str
    stored: Any
    kind: str
    heads: int = 0
    """Of a matrix whose rows llama.cpp's RoPE wants in another order."""

    @property
    def bytes(self) -> int:
        values, size = _BLOCKS[self.kind]
        return int(prod(self.stored.shape)) // values * size

    def read(self) -> Any:
        raw = self.stored.mmap_bytes().view(_DTYPES[self.stored.dtype])
        if self.stored.dtype == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        values = raw.astype(np.float32).reshape(self.stored.shape)
        if self.heads:
            values = gguf_text.interleaved(values, self.heads)
        return gguf.quantize(np.ascontiguousarray(values), gguf.GGMLQuantizationType[self.kind])


def main(origin: Path, target: Path, precision: str) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(origin, local_files_only=True, trust_remote_code=False)
    gguf_text.check(config)
    stored, asked = _stored(origin), precision.upper()
    target.mkdir()
    writer = gguf.GGUFWriter(target / "model.gguf", "llama")
    gguf_text.describe(writer, config.get_text_config(), origin)
    _write(writer, _text_tensors(stored, config, asked), asked)
    if gguf_vision.present(config):
        spared = "Q8_0" if asked == "Q4_0" else asked
        writer = gguf.GGUFWriter(target / "mmproj.gguf", "clip")
        gguf_vision.describe(writer, config, origin)
        _write(writer, _vision_tensors(stored, config, spared), spared)


def _stored(origin: Path) -> dict[str, Any]:
    """All tensors of the folder by their names in it."""
    files = sorted(origin.glob("*.safetensors"))
    return {name: one for file in files for name, one in SafetensorsLocal(file).tensors.items()}


def _text_tensors(stored: dict[str, Any], config: Any, asked: str) -> Iterable[Tensor]:
    text, tied = config.get_text_config(), config.tie_word_embeddings
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, text.num_hidden_layers)
    heads = {"attn_q": text.num_attention_heads, "attn_k": text.num_key_value_heads}
    head = "token_embd.weight" if tied else "output.weight"
    for given, tensor in stored.items():
        if gguf_vision.owns(given) or (tied and given == "lm_head.weight"):
            continue
        name = _renamed(names, given.replace("text_model.", ""))
        spared = "Q8_0" if name == head and asked == "Q4_0" else asked
        yield Tensor(name, tensor, _kind(tensor, spared), heads.get(name.split(".")[-2], 0))


def _vision_tensors(stored: dict[str, Any], config: Any, asked: str) -> Iterable[Tensor]:
    layers = config.vision_config.num_hidden_layers
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, layers)
    for given, tensor in stored.items():
        if gguf_vision.owns(given):
            kind = "F32" if ".embeddings." in given else _kind(tensor, asked)
            yield Tensor(_renamed(names, given), tensor, kind)


def _renamed(names: Any, given: str) -> str:
    name = names.get_name(given, try_suffixes=(".weight", ".bias"))
    if name is None:
        raise SystemExit(f"what {given} is in GGUF is not known")
    return str(name)


def _kind(tensor: Any, asked: str) -> str:
    if len(tensor.shape) < 2:
        return "F32"
    values, _ = _BLOCKS[asked]
    return "F16" if tensor.shape[-1] % values else asked


def _write(writer: Any, tensors: Iterable[Tensor], precision: str) -> None:
    """Header first, then one tensor at a time, so that no more than one is in memory."""
    tensors = list(tensors)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{precision}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for one in tensors:
        # Not uint8: then the writer would take the shape for one in bytes.
        f32, kind = np.dtype(np.float32), gguf.GGMLQuantizationType[one.kind]
        writer.add_tensor_info(one.name, one.stored.shape, f32, one.bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for one in tensors:
        writer.write_tensor_data(one.read())
    writer.close()


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
