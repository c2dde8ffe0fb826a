"""Exports an Idefics3 or SmolVLM folder with PyTorch's exporter; run by `harness.prepare.export`.

Three graphs, named and shaped as transformers.js publishes them: pixels to image features, ids to
embeddings, embeddings and a cache that grows to logits. Greedy decoding needs the last token's
logits alone, so that the decoder gives no others, as llama.cpp gives no others.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, DynamicCache

from harness.prepare import quantise
from harness.prepare.tool import refuse_network

FAMILIES = ("idefics3", "smolvlm")
_OPSET = 20  # the last whose attention is still of plain operators, which every provider has
_TEXTS = (".json", ".jinja", ".txt")


class _Vision(torch.nn.Module):  # type: ignore[misc]  # the library counts as untyped
    """Tower and connector. Unlike the model's own code it drops no image that is all zeros, which
    would make the number of features depend on what the images show."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower, self.connector = model.vision_model, model.connector
        self.patch = model.config.vision_config.patch_size

    def forward(self, pixels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        patches = mask.flatten(0, 1).unflatten(1, (-1, self.patch)).unflatten(3, (-1, self.patch))
        seen = self.tower(pixels.flatten(0, 1), patch_attention_mask=patches.any(4).any(2))
        features: torch.Tensor = self.connector(seen.last_hidden_state)
        return features


class _Decoder(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, text: Any, head: Any) -> None:
        super().__init__()
        self.text, self.head = text, head

    def forward(
        self,
        embeddings: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        past: list[torch.Tensor],
    ) -> list[torch.Tensor]:
        out = self.text(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=DynamicCache(zip(past[::2], past[1::2], strict=True)),
            use_cache=True,
        )
        present = [part for one in out.past_key_values.layers for part in (one.keys, one.values)]
        return [self.head(out.last_hidden_state[:, -1:]), *present]


def main(origin: Path, target: Path, precision: str) -> None:
    model = load(origin)
    graphs, whole = target / "onnx", target.with_name("whole")
    for folder in (graphs, whole):
        folder.mkdir(parents=True)
    into = graphs if precision == "fp32" else whole
    with torch.inference_mode():
        _export_vision(model, into / "vision_encoder.onnx")
        export_embeddings(model, into / "embed_tokens.onnx")
        _export_decoder(model, into / "decoder_model_merged.onnx")
    if precision != "fp32":
        for graph in sorted(whole.glob("*.onnx")):
            quantise.PRECISIONS[precision](graph, graphs / graph.name)
    copy_texts(origin, target)


def load(origin: Path) -> Any:
    """The model in fp32, its attention as plain operators."""
    model = AutoModelForImageTextToText.from_pretrained(
        origin, dtype=torch.float32, local_files_only=True, attn_implementation="eager"
    ).eval()
    if model.config.model_type not in FAMILIES:
        raise SystemExit(f"{model.config.model_type} is not {' or '.join(FAMILIES)}")
    return model


def copy_texts(origin: Path, target: Path) -> None:
    """Tokenizer, template and configurations."""
    for text in origin.iterdir():
        if text.suffix in _TEXTS and not text.name.endswith(".index.json"):
            shutil.copy(text, target / text.name)


def _export_vision(model: Any, path: Path) -> None:
    side = model.config.vision_config.image_size
    any_number = {0: "batch", 1: "num_images"}
    export(
        _Vision(model.model),
        (torch.zeros(2, 3, 3, side, side), torch.ones(2, 3, side, side, dtype=torch.bool)),
        {"pixel_values": any_number, "pixel_attention_mask": any_number},
        ["image_features"],
        path,
    )


def export_embeddings(model: Any, path: Path) -> None:
    table, ids = model.get_input_embeddings(), torch.zeros(2, 3, dtype=torch.long)
    export(table, (ids,), {"input_ids": {0: "batch", 1: "tokens"}}, ["inputs_embeds"], path)


def _export_decoder(model: Any, path: Path) -> None:
    config, past, tokens = model.config.text_config, 5, 3
    layers = range(config.num_hidden_layers)
    parts = [f"{layer}.{part}" for layer in layers for part in ("key", "value")]
    heads = config.num_key_value_heads
    cache = [torch.zeros(2, heads, past, config.head_dim) for _ in parts]
    positions = torch.arange(past, past + tokens).repeat(2, 1)
    new = {0: "batch", 1: "tokens"}
    export(
        _Decoder(model.model.text_model, model.lm_head),
        (
            torch.zeros(2, tokens, config.hidden_size),
            torch.ones(2, past + tokens, dtype=torch.long),
            positions,
            cache,
        ),
        {"inputs_embeds": new, "attention_mask": {0: "batch", 1: "total"}, "position_ids": new}
        | {f"past_key_values.{part}": {0: "batch", 2: "past"} for part in parts},
        ["logits", *(f"present.{part}" for part in parts)],
        path,
    )


def export(
    module: Any,
    example: tuple[Any, ...],
    inputs: dict[str, dict[int, str]],
    outputs: list[str],
    path: Path,
) -> None:
    """`inputs`: by name, the axes that may have any length."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    axes = list(inputs.values())
    plain = len(example) - isinstance(example[-1], list)
    program = torch.onnx.export(
        module.eval(),
        example,
        dynamo=True,
        opset_version=_OPSET,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes=(*axes[:plain], *([axes[plain:]] if axes[plain:] else [])),
        verbose=False,
    )
    # The exporter notes where in its source each node comes from, by this machine's paths.
    ClearMetadataAndDocStringPass()(program.model)
    program.save(path)


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
