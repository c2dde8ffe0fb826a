"""Images on transformers: the library's own processor expands the prompt, its own tower encodes.

Served is every class that takes what its tower saw apart from the prompt, so that encoding can be
timed by itself. Tested are Idefics3 (SmolVLM) and SmolVLM (SmolVLM2), against `generate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import AutoProcessor, Idefics3Processor

from harness.run.runtimes import NO_VISION, ArtifactRefused, Seen

if TYPE_CHECKING:
    from harness.run.images import Pixels


def sees(model: Any) -> bool:
    """Whether there is a tower that takes images."""
    return hasattr(model.base_model, "get_image_features")


class Vision:
    """The tower of a loaded model, and the processor from the model's folder."""

    def __init__(self, model: Any, where: dict[str, Any]) -> None:
        if not sees(model):
            raise ArtifactRefused(NO_VISION)
        name, takes = type(model).__name__, signature(model.forward).parameters
        if "mm_encoder_outputs" not in takes:
            raise ArtifactRefused(f"{name} does not take encoded images: not served here")
        if hasattr(model.base_model, "rope_deltas"):
            raise ArtifactRefused(f"{name} keeps positions between prompts: not served here")
        self._model, self._takes = model, frozenset(takes)
        self._processor = _processor(model, where)

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        """The prompt as the processor expands it. Raises whatever the processor raises."""
        inputs = self._processor(
            text=text,
            # Not as arrays: of one that is three pixels high it takes the height for the colours.
            images=[Image.fromarray(one) for one in images],
            add_special_tokens=False,
            return_tensors="pt",
        )
        ids = inputs.pop("input_ids")[0].tolist()
        inputs.pop("attention_mask")  # of one prompt, without padding
        return Seen(ids, ids.count(self._processor.image_token_id), dict(inputs))

    def encode(self, seen: Seen) -> dict[str, Any]:
        """What the model gets beside the ids: the images' embeddings, and where they belong."""
        inputs = {name: self._moved(value) for name, value in seen.images.items()}
        encode = self._model.base_model.get_image_features
        wanted = signature(encode).parameters
        features = encode(**{name: inputs[name] for name in inputs if name in wanted})
        rest = {
            name: value
            for name, value in inputs.items()
            if name in self._takes and not name.startswith("pixel")
        }
        return {"mm_encoder_outputs": {"image": features}, **rest}

    def _moved(self, value: torch.Tensor) -> torch.Tensor:
        dtype = self._model.dtype if value.is_floating_point() else None
        return value.to(self._model.device, dtype)

    def chat_template(self) -> str:
        """The processor's, empty where it has none."""
        return str(self._processor.chat_template or "")


def _processor(model: Any, where: dict[str, Any]) -> Any:
    if model.config.model_type == "smolvlm":
        # Its own wants torchvision, for videos; with still images the two do the same.
        return Idefics3Processor.from_pretrained(**where)
    return AutoProcessor.from_pretrained(**where)
