"""ONNX Runtime: the graphs that people publish, through its own API and nothing else.

Three layouts, told apart by what goes in and comes out: a decoder whose attention writes its cache
in place (onnxruntime-genai), one whose cache grows by concatenation (optimum), and an embedder
beside a decoder of either kind (transformers.js), where a vision encoder may lie beside them too.
It is loaded only if its images' processor is known here.

Sampling is greedy: NumPy's argmax over the logits where ONNX Runtime wrote them; of equal ones the
first wins. What the weights take in memory is not given: ONNX Runtime does not say. No custom
operators are loaded, and no node runs elsewhere than on the provider that the device stands for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read on import: else it keeps and sends an identifier

import onnxruntime as api

from harness.run.protocol import Settings
from harness.run.runtimes import (
    NO_VISION,
    Answer,
    ArtifactRefused,
    Likelihoods,
    Mask,
    NoRoom,
    Prompt,
    Seen,
    Stop,
    onnx_graph,
    stopped,
    times,
)
from harness.run.runtimes.logits import Pick, Places, likeliest, picker
from harness.run.runtimes.onnx_call import Buffers, Call, Chain, Sessions
from harness.run.runtimes.onnx_folder import Folder
from harness.run.runtimes.onnx_providers import Executor, device_of
from harness.run.runtimes.onnx_static import Rows, Steps, pair
from harness.run.runtimes.onnx_vision import Sight, Vision
from harness.run.runtimes.option_tree import reusable

if TYPE_CHECKING:
    import numpy as np
    from llguidance import LLTokenizer
    from numpy.typing import NDArray

    from harness.run.images import Pixels

_OPTIMISATION = {
    "all": api.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "none": api.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_MODES = {
    "sequential": api.ExecutionMode.ORT_SEQUENTIAL,
    "parallel": api.ExecutionMode.ORT_PARALLEL,
}
_SPINNING = "session.intra_op.allow_spinning"
_FED = {"input_ids", "inputs_embeds", "attention_mask", "position_ids", "num_logits_to_keep"}
_ERRORS_ONLY = 3


class Onnx:
    """One artifact and one cache. Implements `harness.run.runtimes.Runtime`."""

    def load(self, path: str, settings: Settings) -> None:
        self._settings, self._folder = settings, Folder(Path(path))
        parts = onnx_graph.find(Path(path))
        self._graph = parts.decoder
        known = _FED | self._graph.cache.keys() | ({"attention_bias"} if parts.twin else set())
        if unknown := self._graph.inputs - known:
            name = self._graph.path.name
            raise ArtifactRefused(f"{name} wants {', '.join(sorted(unknown))}: not known here")
        self._executor, self._opened = Executor(settings.device), list[api.InferenceSession]()
        self._sessions = self._open(parts)
        self._vision: Vision | None = None
        self._tokens: LLTokenizer | None = None
        self._no_vision = NO_VISION
        if parts.vision:
            self._load_vision(parts.vision.path)

    def _open(self, parts: onnx_graph.Parts) -> Sessions:
        """Where shapes are fixed, looking up embeddings is left to the processor."""
        decoder, twin, embedder = self._session(parts.decoder.path), None, None
        if parts.twin:
            decoder, twin = pair(decoder, self._session(parts.twin.path))
        if parts.embedder:
            executor = Executor("cpu") if parts.twin else self._executor
            embedder = self._session(parts.embedder.path, executor)
        memory = self._executor.provider.memory
        return Sessions(decoder, embedder, memory, self._folder.head_size, twin)

    def _load_vision(self, path: Path) -> None:
        """Unless nothing could be shown to it."""
        try:
            processor = self._folder.processor()
        except ArtifactRefused as error:  # text can still be answered
            self._no_vision = str(error)
        else:
            self._vision = Vision(self._session(path), processor, self._folder)

    def _session(self, path: Path, executor: Executor | None = None) -> api.InferenceSession:
        asked, options = self._settings.options, api.SessionOptions()
        options.intra_op_num_threads = self._settings.threads
        options.graph_optimization_level = _OPTIMISATION[str(asked["graph_optimisation"])]
        options.execution_mode = _MODES[str(asked["execution_mode"])]
        options.enable_cpu_mem_arena = bool(asked["memory_arena"])
        options.add_session_config_entry(_SPINNING, str(int(asked["spinning"])))
        options.log_severity_level = _ERRORS_ONLY
        with _refusing(path.name):
            session = (executor or self._executor).session(str(path), options)
        if executor is None:
            self._opened.append(session)
        return session

    def create_context(self) -> None:
        context, window = self._settings.context, self._folder.window
        if window and context > window:
            raise ArtifactRefused(f"{context} tokens of context; the model's window is {window}")
        kind = Rows if self._sessions.twin else Buffers if self._graph.in_place else Chain
        self._cache: Rows | Buffers | Chain = kind(self._sessions, self._graph.cache, context)
        self._held: list[int] = []

    def evaluate(
        self, prompt: Prompt, new_tokens: int, *,
        stop_at_end: bool, top: int = 0, stop: Stop = None, reuse: bool = False,
        mask: Mask | None = None,
    ) -> Answer:  # fmt: skip
        ids = prompt.ids if isinstance(prompt, Seen) else prompt
        sight = self._sight(prompt) if isinstance(prompt, Seen) else None
        before, room = len(ids), self._settings.context
        if before > room:
            raise NoRoom(f"{before} tokens; the context has {room}")
        last = min(before + new_tokens - 1, room)
        self._cache.clear()
        self._held = []
        sessions = replace(self._sessions, embedder=sight or self._sessions.embedder)
        prefill = self._call(sessions, before, range(1))
        step = self._call(self._sessions, 1, range(before, last))
        prefill.ids[0] = ids
        ends = self._folder.ends if stop_at_end else ()
        clock, pick = time.perf_counter, picker(mask)
        with _refusing(self._graph.path.name):
            start = clock()
            if sight:
                sight.look()
            seen = clock()
            logits = prefill.run(0)
            prefilled = clock()
            pasts = range(before, last)
            tokens, stamps, ending = _continue(logits, step, pasts, ends, stop, pick)
        if ending == "length" and len(tokens) < new_tokens:
            raise NoRoom(f"no room in the context of {room} tokens")
        return Answer(
            tokens=tokens,
            evaluated_tokens=self._cache.filled() - len(tokens) + 1,
            **times(start, prefilled, stamps, seen if sight else None),
            stopped=ending,
            first_logprobs=likeliest(logits, top),
        )

    def grammar(self, schema: dict[str, Any]) -> Mask:
        from harness.run.runtimes.grammar import held, tokens_of

        if self._tokens is None:
            definition = self._folder.tokenizer.to_str()
            self._tokens = tokens_of(definition, self.vocabulary(), self._folder.ends)
        return held(self._tokens, schema)

    def _call(self, sessions: Sessions, count: int, pasts: range) -> Call | Steps:
        if isinstance(self._cache, Rows):
            return Steps(sessions, self._cache, count)
        return Call(sessions, self._cache, count, pasts)

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        """One option after the other, each from the end of the prefix."""
        start, longest = len(prefix), max(map(len, options)) - 1
        if start + longest > self._settings.context:
            room = self._settings.context
            raise ArtifactRefused(f"{start + longest} tokens; the context has {room}")
        kept, self._held = reusable(self._held, prefix), []
        with _refusing(self._graph.path.name):
            self._cache.back_to(kept)
            reused = self._cache.filled()
            call = self._call(self._sessions, start - reused, range(reused, reused + 1))
            call.ids[0] = prefix[reused:]
            first = call.run(reused).copy()
            evaluated = self._cache.filled() - reused
            step = self._call(self._sessions, 1, range(start, start + longest))
            places = Places(len(options))
            for at, option in enumerate(options):
                self._cache.back_to(start)
                places.read(first, [(at, option[0])])
                for past, (token, following) in enumerate(pairwise(option), start):
                    step.ids[0] = token
                    places.read(step.run(past), [(at, following)])
                evaluated += self._cache.filled() - start
        self._held = prefix
        return Likelihoods(places.logprobs, places.likeliest, evaluated, reused)

    def applied(self) -> dict[str, Any]:
        """From the sessions as they were made; the context from the cache."""
        options = self._sessions.decoder.get_session_options()
        settings = Settings(
            device=device_of(self._opened),
            threads=options.intra_op_num_threads,
            context=self._cache.context,
            options={
                "graph_optimisation": _key(_OPTIMISATION, options.graph_optimization_level),
                "execution_mode": _key(_MODES, options.execution_mode),
                "memory_arena": options.enable_cpu_mem_arena,
                "spinning": options.get_session_config_entry(_SPINNING) == "1",
            },
        )
        return {
            "settings": vars(settings),
            "weight_buffers": {},
            "kv_bytes": self._cache.bytes,
            "runtime_build": self._executor.build(),
            "emulated": self._executor.emulated,
        }

    def vocabulary(self) -> int:
        return self._sessions.vocabulary

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return list(self._folder.tokenizer.encode(text, add_special_tokens=special).ids)

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        return self._need_vision().see(text, images)

    def _sight(self, prompt: Seen) -> Sight:
        return self._need_vision().sight(self._sessions.embedder, prompt)

    def _need_vision(self) -> Vision:
        if self._vision is None:
            raise ArtifactRefused(self._no_vision)
        return self._vision

    def detokenize(self, tokens: list[int]) -> str:
        return str(self._folder.tokenizer.decode(tokens, skip_special_tokens=False))

    def chat_template(self) -> str:
        return self._folder.chat_template

    def header(self) -> dict[str, Any]:
        return {"context_window": self._folder.window} if self._folder.window else {}


def _continue(
    logits: NDArray[np.float32],
    step: Call | Steps,
    pasts: range,
    ends: Collection[int],
    stop: Stop,
    pick: Pick,
) -> tuple[list[int], list[float], str]:
    """The tokens from here on, when each was there, and what ended them."""
    clock, next_token, left = time.perf_counter, step.ids[0], iter(pasts)
    tokens: list[int] = []
    stamps: list[float] = []
    while True:
        tokens.append(pick(logits, tokens))
        stamps.append(clock())
        ended, cut = tokens[-1] in ends, bool(stop and stop(tokens))
        past = next(left, None)
        if ended or cut or past is None:
            return tokens, stamps, stopped(ended, cut)
        next_token[0] = tokens[-1]
        logits = step.run(past)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turns what goes wrong with the graph `name` into a refusal."""
    try:
        yield
    except ArtifactRefused:
        raise
    except Exception as error:  # ONNX Runtime's own have no other base
        raise ArtifactRefused(f"{name}: {error}") from error


def _key(table: Mapping[str, Any], value: Any) -> str:
    return next((name for name, one in table.items() if one == value), f"unknown: {value}")
