"""Exports an Idefics3 or SmolVLM folder for an NPU; run by `harness.prepare.export`.

Weights take 8 bits and activations 16, both at scales that are fixed here. Those of activations
come from running the graphs, as the runtime runs them, on questions of easy-VQA's train split,
which no task asks. Shapes are fixed too: a prompt in pieces of 64 tokens, a single token, one tile
of an image. Activations of 8 bits were tried and changed many of the smoke model's answers.

Embeddings stay a table in fp32, because looking up is not what an NPU is for. The text part's
weights are in both of its graphs, and so twice on disk.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.prepare import export_static, export_torch
from harness.prepare.tool import refuse_network
from harness.run.chat_template import render
from harness.run.images import Pixels, decode
from harness.run.runtimes import settings_for
from harness.run.runtimes.onnx import Onnx
from harness.run.runtimes.onnx_call import Sessions

_WIDTH, _NEW_TOKENS = 64, 8
_CALIBRATED, _LONG, _SINGLY = 64, 4, 8
"""Chats; one in so many is of several turns, more than fit one piece; and one in so many goes token
by token, because answers alone would show few tokens to the graph of a single one."""
_TURNS = 8

Feeds = dict[str, list[dict[str, Any]]]
"""By the name of a graph's file: what it is fed, call by call."""


def main(origin: Path, target: Path, precision: str, context: int) -> None:
    model, whole = export_torch.load(origin), target.with_name("whole")
    for folder in (whole, target):
        folder.mkdir(parents=True)
        export_torch.copy_texts(origin, folder)
    with torch.inference_mode():
        export_torch.export_embeddings(model, target / "embed_tokens.onnx")
        export_torch.export_embeddings(model, whole / "embed_tokens.onnx")
        _export_vision(model, whole / "vision_encoder.onnx")
        for name, tokens in (("prefill", _WIDTH), ("decode", 1)):
            _export_text(model, context, tokens, whole / f"{name}.onnx")
    for name, fed in _feeds(whole, context).items():
        _quantise(whole / name, fed, target / name)


def _export_vision(model: Any, path: Path) -> None:
    side = model.config.vision_config.image_size
    pixels = torch.zeros(1, 1, 3, side, side)
    graph = export_static.Vision(model.model)
    export_torch.export(graph, (pixels,), {"pixel_values": {}}, ["image_features"], path)


def _export_text(model: Any, context: int, tokens: int, path: Path) -> None:
    config = model.config.text_config
    parts = [f"{at}.{part}" for at in range(config.num_hidden_layers) for part in ("key", "value")]
    row = (1, config.num_key_value_heads, context, config.head_dim)
    names = ("inputs_embeds", "attention_bias", "position_ids")
    export_torch.export(
        export_static.Text(model, context),
        (
            torch.zeros(1, tokens, config.hidden_size),
            torch.zeros(1, 1, tokens, context + tokens),
            torch.zeros(1, tokens, dtype=torch.int32),
            [torch.zeros(row) for _ in parts],
        ),
        {name: {} for name in (*names, *(f"past_key_values.{part}" for part in parts))},
        ["logits", *(f"present.{part}" for part in parts)],
        path,
    )


class _Recorded:
    """A session that keeps what it is fed."""

    def __init__(self, session: Any, fed: list[dict[str, Any]]) -> None:
        self._session, self._fed = session, fed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, outputs: list[str] | None, fed: dict[str, Any]) -> Any:
        self._fed.append({name: np.array(one) for name, one in fed.items()})
        return self._session.run(outputs, fed)


class _Recording(Onnx):
    """`singly`: whether prompts go through the graph of a single token, too."""

    def __init__(self) -> None:
        self.feeds: Feeds = defaultdict(list)
        self.singly = False

    def _call(self, sessions: Sessions, count: int, pasts: range) -> Any:
        sessions = replace(sessions, twin=sessions.decoder) if self.singly else sessions
        return super()._call(sessions, count, pasts)

    def _session(self, path: Path, executor: Any = None) -> Any:
        session = super()._session(path, executor)
        return session if path.stem == "embed_tokens" else _Recorded(session, self.feeds[path.name])


def _feeds(folder: Path, context: int) -> Feeds:
    """What chats about images feed to each graph, so that it sees all that it may be fed later."""
    runtime = _Recording()
    runtime.load(str(folder), settings_for("onnx", "cpu", 1, context))
    runtime.create_context()
    for at, (messages, image) in enumerate(_chats()):
        runtime.singly = at % _SINGLY == 0
        seen = runtime.see(render(runtime.chat_template(), messages), [image])
        runtime.evaluate(seen, _NEW_TOKENS, stop_at_end=True)
    return runtime.feeds


def _chats() -> Iterator[tuple[list[dict[str, Any]], Pixels]]:
    """Of the train split, spread over it evenly: a question about an image, or many in a row."""
    from easy_vqa import get_train_image_paths, get_train_questions

    texts, answers, images = get_train_questions()
    paths = get_train_image_paths()
    for nth, at in enumerate(range(0, len(texts), len(texts) // _CALIBRATED)):
        same = [one for one in range(at, len(texts)) if images[one] == images[at]]
        turns: list[dict[str, Any]] = [
            {"role": role, "content": [{"type": "text", "text": said}]}
            for one in same[: 1 if nth % _LONG else _TURNS]
            for role, said in (("user", texts[one]), ("assistant", answers[one]))
        ]
        turns[0]["content"].insert(0, {"type": "image"})
        path = Path(paths[images[at]])
        yield turns[:-1], decode(path.read_bytes(), path.name)


def _quantise(graph: Path, fed: list[dict[str, Any]], target: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(fed)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._left, None)

    types = {"activation_type": QuantType.QUInt16, "weight_type": QuantType.QUInt8}
    quantize(str(graph), str(target), get_qnn_qdq_config(str(graph), Reader(), **types))


if __name__ == "__main__":
    sys.addaudithook(refuse_network)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
