"""Images for ONNX graphs in parts: from pixels to features, and these among the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as api

from harness.run.images import Pixels
from harness.run.runtimes import ArtifactRefused, Seen
from harness.run.runtimes.idefics3 import MARK, Idefics3
from harness.run.runtimes.onnx_call import Array, type_of
from harness.run.runtimes.onnx_folder import Folder


@dataclass(frozen=True)
class _Images:
    """`fed`: to the encoder, one call after the other. `places`: which tokens stand for images."""

    fed: list[dict[str, Array]]
    places: Array


class Vision:
    """A vision encoder, and the processor that its folder configures."""

    def __init__(self, session: api.InferenceSession, processor: Idefics3, folder: Folder) -> None:
        self._session, self._processor, self._folder = session, processor, folder
        self._inputs = {one.name: one for one in session.get_inputs()}

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        prompt, pixels = self._processor(text, images)
        tokenizer = self._folder.tokenizer
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        at_once = self._inputs["pixel_values"].shape[1]  # a number where shapes are fixed
        step = at_once if isinstance(at_once, int) else len(pixels)
        fed = [self._fed(pixels[at : at + step]) for at in range(0, len(pixels), step)]
        places = np.array(ids) == tokenizer.token_to_id(MARK)
        return Seen(ids, int(places.sum()), _Images(fed, places))

    def _fed(self, tiles: Array) -> dict[str, Array]:
        fed = {"pixel_values": tiles[None].astype(type_of(self._inputs["pixel_values"]))}
        if "pixel_attention_mask" in self._inputs:
            count, _, height, width = tiles.shape
            fed["pixel_attention_mask"] = np.ones((1, count, height, width), np.bool_)
        return fed

    def sight(self, embedder: api.InferenceSession, seen: Seen) -> Sight:
        return Sight(self._session, embedder, seen.images)


class Sight:
    """One prompt's embedder: it embeds the tokens and puts the features of images in their places.

    `look` first. To a call it is as a session.
    """

    def __init__(
        self, encoder: api.InferenceSession, embedder: api.InferenceSession, images: _Images
    ) -> None:
        self._encoder, self._embedder, self._images = encoder, embedder, images
        self.io_binding, self.get_outputs = embedder.io_binding, embedder.get_outputs

    def look(self) -> None:
        """From pixels to features."""
        found = [self._encoder.run(["image_features"], one)[0] for one in self._images.fed]
        self._features = np.concatenate([one.reshape(-1, one.shape[-1]) for one in found])
        wanted = self._images.places.sum()
        if len(self._features) != wanted:
            raise ArtifactRefused(f"{len(self._features)} image features for {wanted} tokens")

    def run_with_iobinding(self, binding: api.IOBinding) -> None:
        self._embedder.run_with_iobinding(binding)
        (there,) = binding.get_outputs()
        embeddings = there.numpy()
        embeddings[0, self._images.places] = self._features
        there.update_inplace(embeddings)

    def run(self, outputs: list[str] | None, fed: dict[str, Array]) -> list[Array]:
        (embeddings,) = self._embedder.run(outputs, fed)
        embeddings[0, self._images.places] = self._features
        return [embeddings]
