"""Images for llama.cpp: libmtmd, and an mmproj file beside the model's.

Scaling and normalising an image is mtmd's own work, not the model's processor's: what the tower
sees may differ a little from what it sees in another runtime. Ids are those of the model's
processor. Therefore one thing is not as in llama.cpp's own programs: they give an image that makes
a single tile twice, as a tile and as the overview; here it is the overview alone.

mtmd can't be asked how many threads it uses.
"""

from __future__ import annotations

import ctypes
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp as api
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from harness.run.protocol import Settings
from harness.run.runtimes import ArtifactRefused, Seen
from harness.run.runtimes.llamacpp import flash_attention, last_words, text_batches
from harness.run.runtimes.llamacpp_devices import device_of

if TYPE_CHECKING:
    from harness.run.images import Pixels

_MARKS = {"idefics3": "<image>"}
"""The token that a template leaves for an image, by mtmd's name for what projects the image. A
new line needs a test that ids are those of the model's processor."""


def split_folder(folder: Path, log: object) -> tuple[Path, Path | None]:
    """The model and the mmproj file, if there is one, told apart by their headers.

    From here on `log`, llama.cpp's callback, hears mtmd as well.
    """
    mtmd.mtmd_helper_log_set(log, ctypes.c_void_p(0))
    models: list[Path] = []
    projectors: list[Path] = []
    for file in sorted(folder.glob("*.gguf")):
        can = mtmd.mtmd_get_cap_from_file(str(file).encode())
        (projectors if can.inp_vision or can.inp_audio else models).append(file)
    if len(models) != 1 or len(projectors) > 1:
        raise ArtifactRefused(
            f"a folder of {len(models)} models and {len(projectors)} mmproj files; "
            "it must be one model, and one mmproj at the most"
        )
    return models[0], projectors[0] if projectors else None


@dataclass(frozen=True)
class Piece:
    """A stretch of a prompt: `ids` of text, or else a chunk of mtmd's that is one tile."""

    ids: list[int]
    chunk: int = 0
    tokens: int = 0
    """That the tile takes."""
    chunks: _Chunks | None = None
    """What the chunk lives in."""


class _Chunks:
    """What mtmd makes of one image, freed with the last piece of it."""

    def __init__(self, context: int, pixels: Pixels, log: list[str]) -> None:
        self._whole = mtmd.mtmd_input_chunks_init()
        weakref.finalize(self, mtmd.mtmd_input_chunks_free, self._whole)
        rows = np.ascontiguousarray(pixels)
        data = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd.mtmd_bitmap_init(rows.shape[1], rows.shape[0], data)
        marker = mtmd.mtmd_default_marker()
        text = mtmd.mtmd_input_text(marker, len(marker), False, True)
        images, before = (ctypes.c_void_p * 1)(bitmap), len(log)
        status = mtmd.mtmd_tokenize(context, self._whole, ctypes.byref(text), images, 1)
        mtmd.mtmd_bitmap_free(bitmap)
        if status:
            size = f"{rows.shape[1]} x {rows.shape[0]}"
            raise ArtifactRefused(f"an image of {size}: {last_words(log[before:])}")

    def pieces(self) -> list[Piece]:
        size = ctypes.c_size_t()
        found = []
        for at in range(mtmd.mtmd_input_chunks_size(self._whole)):
            chunk = mtmd.mtmd_input_chunks_get(self._whole, at)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                ids = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
                found.append(Piece(ids[: size.value]))
            else:
                found.append(Piece([], chunk, mtmd.mtmd_input_chunk_get_n_tokens(chunk), self))
        return found


class Vision:
    """What an mmproj file adds to a model, on `gpu` where there is one, else on the processor.

    `log` is where llama.cpp and mtmd both write.
    """

    def __init__(
        self, file: Path, model: int, settings: Settings, gpu: int | None, log: list[str]
    ) -> None:
        asked, self._log, before = settings.options, log, len(log)
        params = mtmd.mtmd_context_params_default()  # warm-up: no first image pays for buffers
        params.use_gpu, params.device, params.n_threads = gpu is not None, gpu, settings.threads
        params.print_timings = False
        params.flash_attn_type = flash_attention(asked["flash_attention"])
        context = mtmd.mtmd_init_from_file(str(file).encode(), model, params)
        if not context:
            raise ArtifactRefused(last_words(log[before:]))
        weakref.finalize(self, mtmd.mtmd_free, context)
        self._context, self._projector = context, self._said(r"projector:\s+(\S+)")
        self._batch, self._width = int(asked["batch"]), int(api.llama_model_n_embd_inp(model))

    def see(
        self, text: str, images: Sequence[Pixels], tokenize: Callable[[str], list[int]]
    ) -> Seen:
        """As `harness.run.runtimes.Runtime`."""
        if self._projector not in _MARKS:
            raise ArtifactRefused(f"what stands for an image of {self._projector} is not known")
        name = _MARKS[self._projector]
        between, mark = text.split(name), tokenize(name)
        if len(mark) != 1:
            raise ArtifactRefused(f"{name} is no token of the vocabulary")
        if len(between) - 1 != len(images):
            raise ArtifactRefused(f"{len(between) - 1} marks for {len(images)} images")
        pieces = [Piece(tokenize(between[0]))]
        for pixels, after in zip(images, between[1:], strict=True):
            pieces += [*self._tiles(pixels), Piece(tokenize(after))]
        ids = [one for piece in pieces for one in piece.ids or mark * piece.tokens]
        return Seen(ids, sum(piece.tokens for piece in pieces), _joined(pieces))

    def _tiles(self, pixels: Pixels) -> list[Piece]:
        """An image as mtmd cuts it: its tiles, then the overview, each between tokens."""
        pieces = _Chunks(self._context, pixels, self._log).pieces()
        if sum(1 for piece in pieces if piece.tokens) == 2:
            *_, before, overview, after = pieces
            pieces = [Piece(before.ids[1:]), overview, after]  # no tile: no line ends after it
        if any(one < 0 for piece in pieces for one in piece.ids):
            raise ArtifactRefused("mtmd sets a token beside an image that the vocabulary lacks")
        return pieces

    def encode(self, pieces: list[Piece]) -> list[Any]:
        """Batches for llama_decode, tiles as embeddings; only the last one gives logits."""
        found: list[Any] = []
        for piece in pieces:
            rows = self._embeddings(piece) if piece.tokens else None
            found += text_batches(piece.ids, self._batch) if rows is None else self._split(rows)
        for batch in found[:-1]:
            batch.logits = (ctypes.c_int8 * batch.n_tokens)()
        return found

    def _embeddings(self, piece: Piece) -> Any:
        """A copy: mtmd writes those of the next tile in the same place."""
        if status := mtmd.mtmd_encode_chunk(self._context, piece.chunk):
            raise ArtifactRefused(f"mtmd_encode_chunk answered {status}")
        found = mtmd.mtmd_get_output_embd(self._context)
        return np.ctypeslib.as_array(found, (piece.tokens, self._width)).copy()

    def _split(self, rows: Any) -> list[Any]:
        starts = range(0, len(rows), self._batch)
        parts = [np.ctypeslib.as_ctypes(rows[at : at + self._batch].ravel()) for at in starts]
        return [api.llama_batch(n_tokens=len(part) // self._width, embd=part) for part in parts]

    def device(self) -> str:
        """What mtmd says that the vision part runs on, operators that are missing there apart."""
        used = device_of(self._said(r"CLIP using (\S+) backend"))
        return f"cpu+{used}" if "unsupported operators by the backend" in self._log_text() else used

    def flash_attention(self) -> bool:
        return self._said(r"flash attention is (\w+)") == "enabled"

    def weight_bytes(self) -> int:
        return int(float(self._said(r"load_hparams: model size:\s+([\d.]+) MiB")) * (1 << 20))

    def _log_text(self) -> str:
        return "".join(self._log)

    def _said(self, pattern: str) -> str:
        found = re.search(pattern, self._log_text())
        if not found:
            raise RuntimeError(f"mtmd did not say {pattern}")
        return found[1]


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Texts that touch as one: each is a call of llama_decode."""
    found: list[Piece] = []
    for piece in pieces:
        if found and not (piece.tokens or found[-1].tokens):
            found[-1] = Piece(found[-1].ids + piece.ids)
        elif piece.tokens or piece.ids:
            found.append(piece)
    return found
