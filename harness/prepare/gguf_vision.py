"""The vision part of an exported GGUF file: Idefics3's tower and its connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.prepare.gguf_text import read_json

_PARTS = ("model.vision_model.", "model.connector.")


def present(config: Any) -> bool:
    return getattr(config, "vision_config", None) is not None


def owns(name: str) -> bool:
    """Whether a tensor of the folder belongs to this part."""
    return name.startswith(_PARTS)


def describe(writer: Any, config: Any, origin: Path) -> None:
    """All metadata but the file's type. What mtmd cannot do as the folder says ends the export."""
    vision, processor = config.vision_config, _processor(origin)
    if vision.hidden_act != "gelu_pytorch_tanh":
        raise SystemExit(f"mtmd has GELU by tanh for Idefics3, this tower {vision.hidden_act}")
    tile = processor["max_image_size"]["longest_edge"]
    if tile != vision.image_size:
        raise SystemExit(f"tiles of {tile} pixels for a tower that sees {vision.image_size}")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("idefics3")
    writer.add_vision_projection_dim(config.get_text_config().hidden_size)
    writer.add_vision_image_size(vision.image_size)
    writer.add_vision_patch_size(vision.patch_size)
    writer.add_vision_embedding_length(vision.hidden_size)
    writer.add_vision_feed_forward_length(vision.intermediate_size)
    writer.add_vision_block_count(vision.num_hidden_layers)
    writer.add_vision_head_count(vision.num_attention_heads)
    writer.add_vision_attention_layernorm_eps(vision.layer_norm_eps)
    writer.add_vision_projector_scale_factor(config.scale_factor)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean(processor["image_mean"])
    writer.add_vision_image_std(processor["image_std"])
    # Scaled to one tile, an image is not cut.
    longest = processor["size"]["longest_edge"] if processor["do_image_splitting"] else tile
    writer.add_vision_preproc_image_size(longest)


def _processor(origin: Path) -> dict[str, Any]:
    """The image processor's configuration, in either of the files that may hold it."""
    whole = read_json(origin / "processor_config.json")
    found: dict[str, Any] = whole.get("image_processor") or read_json(
        origin / "preprocessor_config.json"
    )
    if not found:
        raise SystemExit("no image processor's configuration")
    return found
