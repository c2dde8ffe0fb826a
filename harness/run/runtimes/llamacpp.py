"""llama.cpp through llama-cpp-python's low-level API.

Does not guarantee the speed of the high-level `Llama` class: that one is slower. Sampling is
greedy: NumPy's argmax over llama.cpp's own buffer of logits, of which nothing is copied, where
llama.cpp's greedy sampler lists the whole vocabulary first. Of equal logits the first wins, as
there. The KV cache is cleared before each prompt and found empty, or the sample fails, unless reuse
is asked for. Images: see `llamacpp_vision`.
"""

from __future__ import annotations

import ctypes
import re
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp as api
import numpy as np

from harness.run.protocol import Option, Settings
from harness.run.runtimes import (
    NO_VISION,
    PARALLEL,
    Answer,
    ArtifactRefused,
    Likelihoods,
    Mask,
    NoRoom,
    Prompt,
    Seen,
    Stop,
    stopped,
    times,
)
from harness.run.runtimes.llamacpp_devices import ALL, Placement, gpus, placement, pointers
from harness.run.runtimes.llamacpp_likelihoods import SEQUENCES, Scorer, can_go_back
from harness.run.runtimes.logits import Pick, likeliest, picker
from harness.run.runtimes.option_tree import reusable

if TYPE_CHECKING:
    from llguidance import LLTokenizer

    from harness.run.images import Pixels
    from harness.run.runtimes.llamacpp_vision import Vision
    from harness.run.runtimes.parallel import Parallel

_MIB = 1 << 20
Logits = np.ndarray[tuple[int], np.dtype[np.float32]]
_F16 = 1  # GGML_TYPE_F16
_DEBUG = 1  # GGML_LOG_LEVEL_DEBUG
_NO_ROOM = 1  # what llama_decode answers where the KV cache is full


class LlamaCpp:
    """One model and one context. Implements `harness.run.runtimes.Runtime`."""

    def __init__(self) -> None:
        self._log: list[str] = []
        # The callback object must live as long as llama.cpp may call it.
        self._callback = api.llama_log_callback(self._on_log)
        api.llama_log_set(self._callback, ctypes.c_void_p(0))
        api.llama_backend_init()

    def _on_log(self, level: int, text: bytes, _data: object) -> None:
        if level != _DEBUG:  # to which mtmd writes every prompt
            self._log.append(text.decode("utf-8", "replace"))

    def load(self, path: str, settings: Settings) -> None:
        """A GGUF file, or a folder that holds one and may hold its mmproj."""
        self._settings, asked = settings, settings.options
        self._batch, micro = int(asked["batch"]), int(asked["ubatch"])
        self._parallel = int(asked.get(PARALLEL, 1))
        self._block = self._batch if self._batch % micro else micro
        file, projector = Path(path), None
        if file.is_dir():
            from harness.run.runtimes.llamacpp_vision import split_folder

            file, projector = split_folder(file, self._callback)
        params = api.llama_model_default_params()
        self._gpus = gpus(settings.device)
        named = pointers(self._gpus)
        params.devices = ctypes.cast(named, ctypes.c_void_p)
        params.n_gpu_layers = -1 if asked["gpu_layers"] == ALL else asked["gpu_layers"]
        params.load_mode = api.LLAMA_LOAD_MODE_MMAP if asked["mmap"] else api.LLAMA_LOAD_MODE_NONE
        model = api.llama_model_load_from_file(str(file).encode(), params)
        if not model:
            raise ArtifactRefused(last_words(self._log))
        self._model = model
        self._vocab = api.llama_model_get_vocab(model)
        self._keeps = can_go_back(model)
        self._vision = self._load_vision(projector) if projector else None
        self._tokens: LLTokenizer | None = None

    def _load_vision(self, projector: Path) -> Vision:
        from harness.run.runtimes.llamacpp_vision import Vision

        gpu = self._gpus[0].pointer if self._gpus else None
        return Vision(projector, self._model, self._settings, gpu, self._log)

    def create_context(self, sequences: int = 1) -> None:
        """Room of the settings' length for each prompt under way; `sequences` share what one has.

        More than one prompt, or sequence, lie in one cache: what two begin with is there once.
        """
        length, window = self._settings.context, api.llama_model_n_ctx_train(self._model)
        if length > window:
            raise ArtifactRefused(f"a context of {length} tokens: the model's window is {window}")
        asked, params = self._settings.options, api.llama_context_default_params()
        params.n_seq_max = sequences * self._parallel
        params.kv_unified = params.n_seq_max > 1
        params.n_ctx, params.n_threads = length * self._parallel, self._settings.threads
        params.n_batch, params.n_ubatch = asked["batch"], asked["ubatch"]
        params.n_threads_batch = params.n_threads
        params.flash_attn_type = flash_attention(asked["flash_attention"])
        params.type_k = params.type_v = {"f16": _F16}[str(asked["kv_type"])]
        params.swa_full = False  # as llama.cpp's own programs have it: no more than the windows
        params.no_perf = False  # its counters say how many tokens were really evaluated
        context = api.llama_init_from_model(self._model, params)
        if not context:
            raise ArtifactRefused(last_words(self._log))
        self._context = context
        self._memory = api.llama_get_memory(context)
        self._next_token = (api.llama_token * 1)()
        # One for all tokens: making one takes microseconds.
        self._step = api.llama_batch_get_one(self._next_token, 1)
        self._scorer: Scorer | None = None
        self._held: list[int] = []

    def evaluate(
        self, prompt: Prompt, new_tokens: int, *,
        stop_at_end: bool, top: int = 0, stop: Stop = None, reuse: bool = False,
        mask: Mask | None = None,
    ) -> Answer:  # fmt: skip
        ids, images = (prompt.ids, prompt.images) if isinstance(prompt, Seen) else (prompt, None)
        kept = self._go_back(ids, reuse and not images)
        batches, pick = text_batches(ids[kept:], self._batch), picker(mask)

        start = time.perf_counter()
        embedded, prefilled = self._prefill(batches, images)
        logits = self._logits()
        first = likeliest(logits, top)
        tokens, stamps, ending = self._continue(logits, new_tokens, stop_at_end, stop, pick)

        if logits.ctypes.data != self._logits().ctypes.data:
            raise RuntimeError("llama.cpp moved its logits while they were read")
        self._held = [] if images else ids
        return Answer(
            tokens=tokens,
            evaluated_tokens=self._evaluated(len(ids), len(tokens)),
            reused_tokens=kept,
            **times(start, prefilled, stamps, embedded),
            stopped=ending,
            first_logprobs=first,
        )

    def _continue(
        self, logits: Logits, new_tokens: int, stop_at_end: bool, stop: Stop, pick: Pick
    ) -> tuple[list[int], list[float], str]:
        """The tokens from here on, when each was there, and what ended them."""
        decode, synchronize, clock = api.llama_decode, api.llama_synchronize, time.perf_counter
        context, next_token, step = self._context, self._next_token, self._step
        tokens: list[int] = []
        stamps: list[float] = []
        while True:
            token = pick(logits, tokens)
            stamps.append(clock())
            tokens.append(token)
            ended = stop_at_end and self._is_end(token)
            cut = bool(stop and stop(tokens))
            if ended or cut or len(tokens) == new_tokens:
                return tokens, stamps, stopped(ended, cut)
            next_token[0] = token
            status = decode(context, step)
            synchronize(context)  # after a failure, too: else the next answer has its tokens
            self._check(status)

    def grammar(self, schema: dict[str, Any]) -> Mask:
        from harness.run.runtimes.grammar import held

        if self._tokens is None:
            from llguidance.llamacpp import lltokenizer_from_vocab

            ends = [one for one in range(self.vocabulary()) if self._is_end(one)]
            with warnings.catch_warnings(action="ignore"):  # llguidance calls by an older name
                self._tokens = lltokenizer_from_vocab(self._vocab, eos_token=ends)
        return held(self._tokens, schema)

    def _is_end(self, token: int) -> bool:
        return bool(api.llama_vocab_is_eog(self._vocab, token))

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        """The first call replaces the context by one for many sequences, of the same settings."""
        if self._parallel > 1:
            raise ArtifactRefused("likelihoods are asked for one item at a time")
        if self._scorer is None:
            api.llama_free(self._context)
            # llama.cpp aborts where a micro-batch cannot hold a token of each.
            self.create_context(min(SEQUENCES, int(self._settings.options["ubatch"])))
            self._placed()
            self._scorer = Scorer(self._context, self._model)
        self._held = []
        return self._scorer.likelihoods(prefix, options)

    def parallel(self) -> Parallel:
        """After `create_context`; from then on nothing else may use the context."""
        from harness.run.runtimes.llamacpp_parallel import Sequences

        return Sequences(self._context, self._model, self._settings, lambda: last_words(self._log))

    def _prefill(self, batches: list[Any], images: Any) -> tuple[float | None, float]:
        """When images were embeddings (if there were any), and when all was done."""
        decode, context, status, embedded = api.llama_decode, self._context, 0, None
        if images:
            batches = self._need_vision().encode(images)
            embedded = time.perf_counter()
        for batch in batches:
            status |= decode(context, batch)
        api.llama_synchronize(context)
        prefilled = time.perf_counter()
        self._check(status)
        return embedded, prefilled

    def _check(self, status: int) -> None:
        if status == _NO_ROOM:
            raise NoRoom(f"no room in the context of {self._settings.context} tokens")
        if status:
            raise ArtifactRefused(f"llama_decode answered {status}: {last_words(self._log)}")

    def _need_vision(self) -> Vision:
        if self._vision is None:
            raise ArtifactRefused(f"{NO_VISION}: no mmproj file")
        return self._vision

    def _go_back(self, ids: list[int], reuse: bool) -> int:
        """Empties the cache, or all of it but what `ids` begin with: so many tokens are kept.

        Only whole micro-batches of the prompt before are kept. The rest is then computed in the
        very batches that it would be in without them, so that the answer is the same to the bit.
        """
        if len(ids) > self._settings.context:
            raise NoRoom(f"{len(ids)} tokens; the context has {self._settings.context}")
        # Two are left to compute: llama.cpp counts a single one as no prompt.
        alike = reusable(self._held, ids[:-1]) if reuse and self._keeps else 0
        kept, self._held = alike - alike % self._block, []  # whatever happens now
        if self._scorer:
            self._scorer.forget()
        if kept:
            api.llama_memory_seq_rm(self._memory, 0, kept, -1)
        else:
            api.llama_memory_clear(self._memory, True)
        there = api.llama_memory_seq_pos_max(self._memory, 0) + 1
        if there != kept:
            raise RuntimeError(f"the KV cache holds {there} tokens after it was cleared to {kept}")
        api.llama_perf_context_reset(self._context)
        return kept

    def _logits(self) -> Logits:
        """Those of the last token, where llama.cpp keeps them: the next ones will be there, too."""
        last = api.llama_get_logits_ith(self._context, -1)
        if not last:
            raise ArtifactRefused(f"llama.cpp has no logits: {last_words(self._log)}")
        return np.ctypeslib.as_array(last, (self.vocabulary(),))

    def _evaluated(self, prompt: int, new: int) -> int:
        """Prompt tokens computed, by llama.cpp's counter; the cache must end where it should."""
        last = api.llama_memory_seq_pos_max(self._memory, 0)
        if last != prompt + new - 2:  # positions start at 0, the last token is not fed back
            raise RuntimeError(f"the KV cache ends at {last}, not at {prompt + new - 2}")
        return int(api.llama_perf_context(self._context).n_p_eval)

    def applied(self) -> dict[str, Any]:
        """Threads, context and batches from the API; what it can't be asked from its own log."""
        log, context = "".join(self._log), self._context
        # Two where some layers look back over a window only.
        kv = re.findall(r"llama_kv_cache: size =\s*([\d.]+) MiB.*K \((\w+)\).*V \((\w+)\)", log)
        kinds = {kind for _, *both in kv for kind in both}
        flash = re.search(r"llama_context: flash_attn\s*= (\w+)", log)
        mode = re.search(r"\(load_mode = (\w+)\)", log)
        buffers = re.findall(r"load_tensors:\s+(\S+) model buffer size =\s*([\d.]+) MiB", log)
        threads = {api.llama_n_threads(context), api.llama_n_threads_batch(context)}
        vision, placed = self._vision, self._placed()
        several = PARALLEL in self._settings.options
        parallel = int(api.llama_n_seq_max(context)) if several else 1
        settings = Settings(
            device=placed.device,
            threads=threads.pop() if len(threads) == 1 else -1,
            context=api.llama_n_ctx(context) // parallel,
            options={
                "batch": api.llama_n_batch(context),
                "ubatch": api.llama_n_ubatch(context),
                "flash_attention": bool(flash and flash[1] == "enabled")
                and (vision is None or vision.flash_attention()),
                "kv_type": kinds.pop() if len(kinds) == 1 else "unknown",
                "mmap": bool(mode and mode[1] == "mmap"),
                "gpu_layers": placed.gpu_layers,
            }
            | ({PARALLEL: parallel} if several else {}),
        )
        return {
            "settings": vars(settings),
            "weight_buffers": {name: int(float(size) * _MIB) for name, size in buffers}
            | ({"mmproj": vision.weight_bytes()} if vision else {}),
            "kv_bytes": int(sum(float(size) for size, *_ in kv) * _MIB) if kv else None,
            "runtime_build": _text(api.llama_print_system_info()).strip()
            + "".join(f" {gpu.name} = {gpu.words} |" for gpu in self._gpus),
            "emulated": any(gpu.emulated for gpu in self._gpus),
        }

    def _placed(self) -> Placement:
        """Where all of it is. Raises ArtifactRefused where that is not the device asked for.

        Asked for after a context is made, not while: making one is timed.
        """
        vision = self._vision.device() if self._vision else None
        found = placement("".join(self._log), vision)
        found.check(self._settings.device)
        return found

    def vocabulary(self) -> int:
        return int(api.llama_vocab_n_tokens(self._vocab))

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        array = (api.llama_token * room)()
        count = api.llama_tokenize(self._vocab, raw, len(raw), array, room, special, True)
        if count < 0:
            raise RuntimeError(f"llama_tokenize needs room for {-count} tokens, not {room}")
        return list(array[:count])

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        return self._need_vision().see(text, images, self.tokenize)

    def detokenize(self, tokens: list[int]) -> str:
        pieces = bytearray()
        buffer = ctypes.create_string_buffer(1024)
        for token in tokens:
            size = api.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
            if size < 0:
                raise RuntimeError(f"token {token} needs {-size} bytes of text")
            pieces += buffer.raw[:size]
        return pieces.decode("utf-8", "replace")

    def chat_template(self) -> str:
        return _text(api.llama_model_chat_template(self._model, None))

    def header(self) -> dict[str, Any]:
        window = int(api.llama_model_n_ctx_train(self._model))
        facts: dict[str, Any] = {"context_window": window}
        if self._vision is None:  # nobody counts the weights of an mmproj
            facts["parameters"] = int(api.llama_model_n_params(self._model))
        buffer = ctypes.create_string_buffer(256)
        if api.llama_model_meta_val_str(self._model, b"general.license", buffer, len(buffer)) >= 0:
            facts["licence"] = _text(buffer.value)
        return facts


def last_words(log: list[str]) -> str:
    """What llama.cpp and mtmd said of the errors in a log."""
    errors = [" ".join(line.split()) for line in log if "error" in line or "failed" in line]
    return " | ".join(errors[-3:]) or "llama.cpp gave no reason"


def text_batches(ids: list[int], size: int) -> list[Any]:
    """Batches for llama_decode of `size` tokens at the most. Each gives its last token's logits."""
    parts = [ids[start : start + size] for start in range(0, len(ids), size)]
    return [
        api.llama_batch(n_tokens=len(part), token=(api.llama_token * len(part))(*part))
        for part in parts
    ]


def flash_attention(asked: Option) -> int:
    """The word for it that llama.cpp and mtmd share."""
    return int(api.LLAMA_FLASH_ATTN_TYPE_ENABLED if asked else api.LLAMA_FLASH_ATTN_TYPE_DISABLED)


def _text(raw: bytes | None) -> str:
    return raw.decode("utf-8", "replace") if raw else ""
