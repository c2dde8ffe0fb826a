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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel, Digits
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    DynamicCache,
    PreTrainedTokenizerFast,
)
from transformers.integrations.gguf import read_gguf_metadata
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

from harness.run.protocol import Settings
from harness.run.runtimes import (
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
from harness.run.runtimes.logits import likeliest
from harness.run.runtimes.option_tree import nodes, reusable
from harness.run.runtimes.transformers_cache import Room, rooms
from harness.run.runtimes.transformers_likelihoods import in_one_pass, one_by_one
from harness.run.runtimes.transformers_vision import Vision, sees
from harness.run.runtimes.transformers_weights import bytes_of, computed_in, count

if TYPE_CHECKING:
    import numpy as np
    from llguidance import LLTokenizer
    from numpy.typing import NDArray

    from harness.run.images import Pixels
    from harness.run.runtimes.parallel import Parallel

_REASON_CHARACTERS = 300
_SPLITS: dict[str, Callable[[], Any]] = {
    "smollm": lambda: pre_tokenizers.Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
}
"""How text is split before it is tokenised, by the name a GGUF file has for it, where the library
does not know the name and would split as GPT-2."""


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
            self._model, report = _loader(where).from_pretrained(
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
        self._where = where
        self._vision: Vision | None = None
        self._tokens: LLTokenizer | None = None

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
        prompts = int(self._settings.options.get(PARALLEL, 1))
        if window is not None and length > window:
            raise ArtifactRefused(f"a context of {length} tokens: the model's window is {window}")
        with _refusing(), torch.inference_mode():
            cache = DynamicCache(config=self._model.config)
            self._logits(torch.zeros((1, 1), dtype=torch.long, device=self._model.device), cache)
            self._rooms = rooms(cache.layers, length, prompts)
        if prompts > 1 and not all(self._rooms):
            raise ArtifactRefused("a model whose layers see a window takes one prompt at a time")
        self._cache, self._held = self._new_cache(), list[int]()

    def _window(self) -> int | None:
        text = self._model.config.get_text_config(decoder=True)
        return getattr(text, "max_position_embeddings", None)

    def _new_cache(self) -> Any:
        """Layers that keep every token are ours; others (sliding windows) stay the library's."""
        cache = DynamicCache(config=self._model.config)
        cache.layers = [
            Room(*(states[:1] for states in room)) if room else layer
            for room, layer in zip(self._rooms, cache.layers, strict=True)
        ]
        return cache

    def _logits(self, ids: torch.Tensor, cache: Any, **seen: Any) -> torch.Tensor:
        """Of the last position alone, whether or not the model can leave out the others."""
        out = self._model(
            input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **seen
        )
        last: torch.Tensor = out.logits[:, -1:]
        return last

    def evaluate(
        self, prompt: Prompt, new_tokens: int, *,
        stop_at_end: bool, top: int = 0, stop: Stop = None, reuse: bool = False,
        mask: Mask | None = None,
    ) -> Answer:  # fmt: skip
        given = prompt.ids if isinstance(prompt, Seen) else prompt
        if len(given) > (room := self._settings.context):
            raise NoRoom(f"{len(given)} tokens; the context has {room}")
        most = min(new_tokens, room - len(given) + 1)  # the last token is not fed back
        self._cache, self._held = (cache := self._new_cache()), []
        ids = torch.tensor([given], dtype=torch.long, device=self._model.device)
        ends = self._ends if stop_at_end else frozenset()
        seen: dict[str, Any] = {}

        with _refusing(), torch.inference_mode():
            start, encoded = time.perf_counter(), None
            if isinstance(prompt, Seen):
                seen = self._need_vision().encode(prompt)
                self._synchronize()
                encoded = time.perf_counter()
            logits = self._logits(ids, cache, **seen)
            self._synchronize()
            prefilled = time.perf_counter()
            first = likeliest(logits[0, 0].float().numpy(force=True), top) if top else []
            tokens, stamps, cut = self._continue(logits, cache, most, ends, stop, mask)
        ending = stopped(tokens[-1] in ends, cut)
        if ending == "length" and len(tokens) < new_tokens:
            raise NoRoom(f"no room in the context of {room} tokens")

        return Answer(
            tokens=tokens,
            evaluated_tokens=self._cached() - len(tokens) + 1,
            **times(start, prefilled, stamps, encoded),
            stopped=ending,
            first_logprobs=first,
        )

    def _continue(
        self,
        logits: torch.Tensor,
        cache: Any,
        new_tokens: int,
        ends: frozenset[int],
        stop: Stop,
        mask: Mask | None,
    ) -> tuple[list[int], list[float], bool]:
        """The greedy tokens from here on, when each was there, and whether `stop` cut them."""
        clock, predict = time.perf_counter, self._logits
        tokens: list[int] = []
        stamps: list[float] = []
        while True:
            next_token = (_allowed(logits, mask(tokens)) if mask else logits).argmax(dim=-1)
            token = int(next_token)  # waits for the device
            stamps.append(clock())
            tokens.append(token)
            cut = bool(stop and stop(tokens))
            if len(tokens) == new_tokens or token in ends or cut:
                return tokens, stamps, cut
            logits = predict(next_token, cache)

    def grammar(self, schema: dict[str, Any]) -> Mask:
        from harness.run.runtimes.grammar import held, tokens_of

        if self._tokens is None:
            definition = self._need_tokenizer().backend_tokenizer.to_str()
            self._tokens = tokens_of(definition, self.vocabulary(), self._ends)
        return held(self._tokens, schema)

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        if not all(self._rooms):  # a window cannot be taken back, and makes a mask of its own
            with _refusing(), torch.inference_mode():
                return one_by_one(self._model, self._new_cache, prefix, options)
        kept = reusable(self._held, prefix)
        tree = nodes(prefix, kept, options)
        if kept + len(tree) > self._settings.context:
            room = self._settings.context
            raise ArtifactRefused(f"{kept + len(tree)} tokens; the context has {room}")
        with _refusing(), torch.inference_mode():
            self._back_to(kept)
            reused, self._held = self._cached(), []
            places = in_one_pass(self._model, self._cache, reused, tree, len(options))
            evaluated = self._cached() - reused
            self._back_to(len(prefix))
        self._held = prefix
        return Likelihoods(places.logprobs, places.likeliest, evaluated, reused)

    def parallel(self) -> Parallel:
        """After `create_context`; from then on nothing else may use the cache."""
        from harness.run.runtimes.transformers_parallel import Rows

        def predict(ids: torch.Tensor, cache: Any) -> torch.Tensor:
            with _refusing():
                return self._logits(ids, cache)

        layers = [room for room in self._rooms if room]  # all, or the context was refused
        return Rows(self._model, layers, self._ends, predict)

    def _back_to(self, tokens: int) -> None:
        for layer in self._cache.layers:
            layer.back_to(tokens)

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
        model = self._model
        device, dtype = computed_in(model)
        kept = [room for room in self._rooms if room]
        on_gpu, capability = device == "cuda", torch.backends.cpu.get_cpu_capability()
        settings = Settings(
            device=device,
            threads=torch.get_num_threads(),
            # Without a layer that keeps every token nothing limits it.
            context=min((room[0].shape[2] for room in kept), default=self._settings.context),
            options={"dtype": dtype, "attention": model.config._attn_implementation}
            | ({PARALLEL: kept[0][0].shape[0]} if PARALLEL in self._settings.options else {}),
        )
        return {
            "settings": vars(settings),
            "weight_buffers": bytes_of(model),
            "kv_bytes": self._kv_bytes(),
            "runtime_build": f"transformers {transformers.__version__}, torch {torch.__version__}, "
            f"{torch.cuda.get_device_name() if on_gpu else capability}",
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

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return list(self._need_tokenizer().encode(text, add_special_tokens=special))

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        with _refusing():
            return self._need_vision().see(text, images)

    def _need_vision(self) -> Vision:
        """The vision part, got ready at first use: a model that is only timed needs none of it."""
        if self._vision is None:
            self._vision = Vision(self._model, self._where)
        return self._vision

    def detokenize(self, tokens: list[int]) -> str:
        return str(self._need_tokenizer().decode(tokens, clean_up_tokenization_spaces=False))

    def chat_template(self) -> str:
        """The tokenizer's; some folders of models that see keep it with the processor alone."""
        tokenizer = self._need_tokenizer()
        if tokenizer.chat_template:
            return str(tokenizer.get_chat_template())
        with _refusing():
            return self._need_vision().chat_template() if sees(self._model) else ""

    def _need_tokenizer(self) -> Any:
        if self._tokenizer is None:
            raise ArtifactRefused(f"no tokenizer: {self._no_tokenizer}")
        return self._tokenizer

    def header(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"parameters": count(self._model)}
        if (window := self._window()) is not None:
            facts["context_window"] = window
        if "general.license" in self._metadata:
            facts["licence"] = self._metadata["general.license"]
        return facts


def _loader(where: dict[str, Any]) -> Any:
    """What loads the model: with its vision part where the configuration has one."""
    if "gguf_file" in where:
        return AutoModelForCausalLM
    sees = type(AutoConfig.from_pretrained(**where)) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def _allowed(logits: torch.Tensor, mask: NDArray[np.bool_]) -> torch.Tensor:
    return logits.masked_fill(torch.from_numpy(~mask).to(logits.device), float("-inf"))


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
