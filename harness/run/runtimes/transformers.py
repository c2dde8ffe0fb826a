"""The transformers library on PyTorch: safetensors folders, and GGUF files, which it dequantises.

Nothing is fetched and no code that came with a model is run: local files only, no remote code, no
pickle. Weights that an artifact lacks are an error here; the library draws them at random.

Sampling is greedy, by a loop of our own: `generate` gives no time of a single token. The KV cache
has room for the whole context from the start, where the library's copies all of itself for each
token. Each prompt gets a new cache, and counts as far as that cache says it was filled.

Does not guarantee that a GGUF file answers as in llama.cpp, which rounds activations to 8 bits, nor
anything about CUDA: the code is the same, but it was never run there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel, Digits
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedTokenizerFast,
)
from transformers.cache_utils import DynamicLayer
from transformers.integrations.gguf import read_gguf_metadata
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from harness.run.protocol import Settings
from harness.run.runtimes import (
    NO_VISION,
    Answer,
    ArtifactRefused,
    Prompt,
    Seen,
    Stop,
    stopped,
    times,
)
from harness.run.runtimes.logits import likeliest

if TYPE_CHECKING:
    from harness.run.images import Pixels

_REASON_CHARACTERS = 300
_SPLITS: dict[str, Callable[[], Any]] = {
    "smollm": lambda: pre_tokenizers.Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
}
"""How text is split before it is tokenised, by the name a GGUF file has for it, where the library
does not know the name and would split as GPT-2."""


_Pair = tuple[torch.Tensor, torch.Tensor]


class _Room(DynamicLayer):  # type: ignore[misc]  # the library counts as untyped
    """Keys and values of one layer, written into room that is there already."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self._keys, self._values = keys, values
        self.keys, self.values = keys[:, :, :0], values[:, :, :0]
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> _Pair:
        start, new = self.keys.shape[2], key_states.shape[2]
        self._keys.narrow(2, start, new).copy_(key_states)  # raises where the room ends
        self._values.narrow(2, start, new).copy_(value_states)
        self.keys = self._keys[:, :, : start + new]
        self.values = self._values[:, :, : start + new]
        return self.keys, self.values


class Transformers:
    """One model and the room for its KV cache. Implements `harness.run.runtimes.Runtime`."""

    def __init__(self) -> None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()

    def load(self, path: str, settings: Settings) -> None:
        self._settings, asked = settings, settings.options
        torch.set_num_threads(settings.threads)
        with _refusing():
            where = self._locate(Path(path))
            self._model, report = AutoModelForCausalLM.from_pretrained(
                **where,
                dtype=getattr(torch, str(asked["dtype"])),
                attn_implementation=asked["attention"],
                use_safetensors=True,
                output_loading_info=True,
            )
            self._model.to(settings.device)
        if missing := sorted(report["missing_keys"]):
            raise ArtifactRefused(f"{len(missing)} weights are missing, {missing[0]} among them")
        self._tokenizer, self._no_tokenizer = None, ""
        try:
            with _refusing():
                self._tokenizer = self._read_tokenizer(where)
        except ArtifactRefused as error:  # what needs no text can still be measured
            self._no_tokenizer = str(error)
        self._ends = self._read_ends()

    def _locate(self, path: Path) -> dict[str, Any]:
        """How the library is told where the artifact is, and that nothing else will do."""
        where = {"local_files_only": True, "trust_remote_code": False}
        if path.is_dir():
            self._metadata: dict[str, Any] = {}
            return where | {"pretrained_model_name_or_path": str(path)}
        self._metadata, _ = read_gguf_metadata(str(path))
        return where | {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}

    def _read_tokenizer(self, where: dict[str, Any]) -> Any:
        if not self._metadata:
            return AutoTokenizer.from_pretrained(**where)
        # The class that AutoTokenizer comes to as well, after it has read the whole header again.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(**where)
        if self._metadata.get("tokenizer.ggml.model") == "gpt2":
            split = self._metadata.get("tokenizer.ggml.pre", "gpt-2")
            if split in _SPLITS:
                tokenizer.backend_tokenizer.pre_tokenizer = _SPLITS[split]()
            elif split not in (*GGUF_PRE_TOKENIZER_SPLITS, "gpt-2"):
                raise ArtifactRefused(f"how to split text the way '{split}' is not known")
        return tokenizer

    def _read_ends(self) -> frozenset[int]:
        """Tokens that end an answer. A GGUF file's own: the library takes its defaults for them."""
        if self._metadata:
            names = (f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
            return frozenset(self._metadata[name] for name in names if name in self._metadata)
        configured = self._model.generation_config.eos_token_id
        ends = [*configured] if isinstance(configured, list) else [configured]
        if self._tokenizer is not None:
            ends.append(self._tokenizer.eos_token_id)
        return frozenset(int(end) for end in ends if end is not None)

    def create_context(self) -> None:
        """Makes the room. How much a layer needs is seen from one token evaluated without it."""
        length, window = self._settings.context, self._window()
        if window is not None and length > window:
            raise ArtifactRefused(f"a context of {length} tokens: the model's window is {window}")
        with _refusing(), torch.inference_mode():
            cache = DynamicCache(config=self._model.config)
            self._logits(torch.zeros((1, 1), dtype=torch.long, device=self._model.device), cache)
            self._rooms = _rooms(cache.layers, length)
        self._cache = self._new_cache()

    def _window(self) -> int | None:
        text = self._model.config.get_text_config(decoder=True)
        return getattr(text, "max_position_embeddings", None)

    def _new_cache(self) -> Any:
        """Layers that keep every token are ours; others (sliding windows) stay the library's."""
        cache = DynamicCache(config=self._model.config)
        cache.layers = [
            _Room(*room) if room else layer
            for room, layer in zip(self._rooms, cache.layers, strict=True)
        ]
        return cache

    def _logits(self, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        """Of the last position alone, whether or not the model can leave out the others."""
        out = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        last: torch.Tensor = out.logits[:, -1:]
        return last

    def evaluate(
        self, prompt: Prompt, new_tokens: int, *, stop_at_end: bool, top: int = 0, stop: Stop = None
    ) -> Answer:
        if isinstance(prompt, Seen):
            raise ArtifactRefused(NO_VISION)
        if len(prompt) > self._settings.context:
            raise ArtifactRefused(f"{len(prompt)} tokens in a context of {self._settings.context}")
        self._cache = cache = self._new_cache()
        ids = torch.tensor([prompt], dtype=torch.long, device=self._model.device)
        clock, synchronize, predict = time.perf_counter, self._synchronize, self._logits
        ends = self._ends if stop_at_end else frozenset()
        tokens: list[int] = []
        stamps: list[float] = []

        with _refusing(), torch.inference_mode():
            start = clock()
            logits = predict(ids, cache)
            synchronize()
            prefilled = clock()
            first = likeliest(logits[0, 0].float().numpy(force=True), top) if top else []
            while True:
                next_token = logits.argmax(dim=-1)
                token = int(next_token)  # waits for the device
                stamps.append(clock())
                tokens.append(token)
                cut = bool(stop and stop(tokens))
                if len(tokens) == new_tokens or token in ends or cut:
                    break
                logits = predict(next_token, cache)

        return Answer(
            tokens=tokens,
            evaluated_tokens=self._cached() - len(tokens) + 1,  # the last token is not fed back
            **times(start, prefilled, stamps),
            stopped=stopped(tokens[-1] in ends, cut),
            first_logprobs=first,
        )

    def _synchronize(self) -> None:
        if self._model.device.type == "cuda":
            torch.cuda.synchronize()

    def _cached(self) -> int:
        """Tokens in the cache; all layers must have seen the same."""
        lengths = {layer.get_seq_length() for layer in self._cache.layers}
        if len(lengths) != 1:
            raise RuntimeError(f"layers of the KV cache end at {sorted(lengths)}")
        return int(lengths.pop())

    def applied(self) -> dict[str, Any]:
        """All from the model and the library; the context is what the cache has room for."""
        model, weights = self._model, Counter[tuple[str, str]]()
        for tensor in (*model.parameters(), *model.buffers()):
            weights[tensor.device.type, _name(tensor.dtype)] += tensor.nbytes
        (device, dtype), _ = weights.most_common(1)[0]
        rooms = [room for room in self._rooms if room]
        settings = Settings(
            device=device,
            threads=torch.get_num_threads(),
            # Without a layer that keeps every token nothing limits it.
            context=min((room[0].shape[2] for room in rooms), default=self._settings.context),
            options={"dtype": dtype, "attention": model.config._attn_implementation},
        )
        return {
            "settings": vars(settings),
            "weight_buffers": {" ".join(name): size for name, size in weights.items()},
            "kv_bytes": self._kv_bytes(),
            "runtime_build": f"transformers {transformers.__version__}, torch {torch.__version__}, "
            f"{torch.backends.cpu.get_cpu_capability()}",
        }

    def _kv_bytes(self) -> int:
        """What is allocated, used or not."""
        parts = [
            part
            for room, layer in zip(self._rooms, self._cache.layers, strict=True)
            for part in room or (getattr(layer, "keys", None), getattr(layer, "values", None))
        ]
        return sum(part.nbytes for part in parts if part is not None)

    def vocabulary(self) -> int:
        return int(self._model.config.get_text_config(decoder=True).vocab_size)

    def tokenize(self, text: str) -> list[int]:
        return list(self._need_tokenizer().encode(text, add_special_tokens=False))

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        raise ArtifactRefused(NO_VISION)

    def detokenize(self, tokens: list[int]) -> str:
        return str(self._need_tokenizer().decode(tokens, clean_up_tokenization_spaces=False))

    def chat_template(self) -> str:
        tokenizer = self._need_tokenizer()
        return str(tokenizer.get_chat_template()) if tokenizer.chat_template else ""

    def _need_tokenizer(self) -> Any:
        if self._tokenizer is None:
            raise ArtifactRefused(f"no tokenizer: {self._no_tokenizer}")
        return self._tokenizer

    def header(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"parameters": sum(one.numel() for one in self._model.parameters())}
        if (window := self._window()) is not None:
            facts["context_window"] = window
        if "general.license" in self._metadata:
            facts["licence"] = self._metadata["general.license"]
        return facts


def _rooms(layers: list[Any], length: int) -> list[_Pair | None]:
    """For keys and values of each layer that keeps every token, shaped as those that it has.

    In one piece, as small ones would fill gaps in the heap, and of zeros, so that the memory is
    taken now: a context shall be seen to cost what it costs.
    """
    keeping = [layer for layer in layers if type(layer) is DynamicLayer]
    states = [states for layer in keeping for states in (layer.keys, layer.values)]
    shapes = [(*one.shape[:2], length, one.shape[3]) for one in states]
    sizes = [prod(shape) for shape in shapes]
    whole = states[0].new_zeros(sum(sizes)) if states else torch.empty(0)
    parts = (part.view(shape) for part, shape in zip(whole.split(sizes), shapes, strict=True))
    return [(next(parts), next(parts)) if layer in keeping else None for layer in layers]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns the library's errors into refusals, in one line; want of memory stays what it is."""
    try:
        yield
    except (ArtifactRefused, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "allocate memory" in str(error):  # on a CPU a mere RuntimeError
            raise
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
        raise ArtifactRefused(f"{type(error).__name__}: {reason}") from error
