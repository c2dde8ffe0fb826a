"""Runtimes: what executes an artifact. A new one is one file here and one line in RUNTIMES."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.run.protocol import Option, Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.run.images import Pixels


@dataclass(frozen=True)
class Entry:
    """Where a runtime lives, what it is made of, and what it is asked for.

    `distributions`: the first is the runtime itself; the versions of all of them are part of a
    cell's key. `options`: its own settings for so many tokens of context at a quantisation.
    """

    target: str
    distributions: tuple[str, ...]
    extra: str
    devices: tuple[str, ...]
    formats: tuple[str, ...]
    options: Callable[[int, str], dict[str, Option]]
    also: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By device: a further distribution that it needs, and the extra that brings it."""
    builds: tuple[str, ...] = ()
    """Distributions of the runtime's own modules, one of which may be here for the first."""
    there: Mapping[str, dict[str, Option]] = field(default_factory=dict)
    """By device: what is asked for otherwise there."""
    of: Mapping[str, dict[str, Option]] = field(default_factory=dict)
    """By architecture, as `harness.ask.geometry` names it: what is asked for otherwise of it."""
    parallel: bool = False
    """Whether it is a `ParallelRuntime`."""
    items: Literal["items", "messages"] = "items"
    """The workload that asks a task's items: of a `Runtime`, or of a `Chat`."""

    @property
    def own(self) -> str:
        """The distribution that the runtime itself is from; the first where none is here."""
        return next((one for one in self.builds if installed(one)), self.distributions[0])

    def needs(self, device: str) -> dict[str, str]:
        """What it takes on a device, its own distribution first, and the extra that brings each."""
        needed = dict.fromkeys((self.own, *self.distributions[1:]), self.extra)
        return needed | dict([self.also[device]] if device in self.also else [])


def installed(name: str) -> str | None:
    """The version of a distribution; None where it is not here."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


_HALF = {"bf16": "bfloat16", "fp16": "float16", "f16": "float16"}
"""The dtype that PyTorch holds such weights in. All others become float32, quantised ones too."""

_OFFLOADED = ("cuda", "metal", "vulkan")

RUNTIMES: dict[str, Entry] = {
    "llama.cpp": Entry(
        "harness.run.runtimes.llamacpp:LlamaCpp",
        ("llama-cpp-python",),
        "llamacpp",
        ("cpu", *_OFFLOADED),
        ("gguf",),
        lambda context, _: {
            "batch": min(2048, context),  # llama.cpp clips both by itself
            "ubatch": min(512, context),
            "flash_attention": True,
            "kv_type": "f16",
            "mmap": True,
            "gpu_layers": 0,
        },
        there={device: {"gpu_layers": "all"} for device in _OFFLOADED},
        parallel=True,
    ),
    "onnx": Entry(
        "harness.run.runtimes.onnx:Onnx",
        ("onnxruntime", "tokenizers"),
        "onnx",
        ("cpu", "cuda", "directml", "coreml", "npu:qnn", "npu:openvino"),
        ("onnx",),
        lambda *_: {
            "graph_optimisation": "all",
            "execution_mode": "sequential",
            "memory_arena": True,
            "spinning": True,
        },
        {
            "cuda": ("onnxruntime-gpu", "onnx-gpu"),
            "directml": ("onnxruntime-windowsml", "onnx-directml"),
            "npu:qnn": ("onnxruntime-qnn", "qnn"),
            "npu:openvino": ("onnxruntime-ep-openvino", "openvino"),
        },
        builds=("onnxruntime-gpu", "onnxruntime-windowsml"),
    ),
    "openai": Entry(
        "harness.run.runtimes.openai:OpenAi",
        ("httpx2",),
        "openai",
        ("server",),
        ("endpoint",),
        lambda *_: {},
        items="messages",
    ),
    "transformers": Entry(
        "harness.run.runtimes.transformers:Transformers",
        ("transformers", "torch", "tokenizers", "accelerate", "gguf"),
        "transformers",
        ("cpu", "cuda"),
        ("safetensors", "gguf"),
        lambda _, quantisation: {
            "dtype": _HALF.get(quantisation.lower(), "float32"),
            "attention": "sdpa",
        },
        of={"gemma2": {"attention": "eager"}},  # PyTorch's sdpa cannot cap the scores
        parallel=True,
    ),
}

PARALLEL = "parallel"
"""The option that says how many prompts are under way at once, where it is not one."""

HEADER_READER = "llama.cpp"
"""The runtime that reads facts off an artifact's header."""


def takes_messages(runtime: str | None) -> bool:
    """Whether it is a server's: no artifact lies here, no token and no prompt is seen."""
    return runtime in RUNTIMES and RUNTIMES[runtime].items == "messages"


def settings_for(
    runtime: str,
    device: str,
    threads: int,
    context: int,
    quantisation: str = "",
    architecture: str = "",
    parallel: int | None = None,
) -> Settings:
    """What a cell asks of a registered runtime; `context` is that of each prompt under way."""
    entry = RUNTIMES[runtime]
    options = entry.options(context, quantisation)
    options |= entry.there.get(device, {}) | entry.of.get(architecture, {})
    return Settings(device, threads, context, options | ({PARALLEL: parallel} if parallel else {}))


@dataclass(frozen=True)
class Answer:
    """One prompt evaluated and continued greedily.

    `token_seconds` has one entry per token after the first. `evaluated_tokens` is the runtime's
    own count of prompt tokens it computed; `reused_tokens` were in the cache from the call before.
    """

    tokens: list[int]
    evaluated_tokens: int
    prefill_seconds: float
    first_token_seconds: float
    token_seconds: list[float]
    stopped: str
    """"end", "length" or "stop", as `harness.run.records.Turn` has it."""
    first_logprobs: list[tuple[int, float]] = field(default_factory=list)
    """The likeliest first tokens and their log-probabilities, as many as were asked for."""
    image_seconds: float | None = None
    """From pixels to embeddings, all images; None where there was none. Before the prefill, and
    so part of `first_token_seconds`, not of `prefill_seconds`."""
    reused_tokens: int = 0

    def timing(self) -> dict[str, Any]:
        """As `harness.run.records.Repeat`."""
        return {
            "evaluated_tokens": self.evaluated_tokens,
            "prefill_seconds": self.prefill_seconds,
            "first_token_seconds": self.first_token_seconds,
            "token_seconds": self.token_seconds,
        }


@dataclass(frozen=True)
class Seen:
    """A prompt with images, ready for the runtime that made it.

    `ids` has the image's placeholder once for each of the `image_tokens` that an image takes, so
    that the ids of two runtimes compare. `images` is the runtime's own form of them.
    """

    ids: list[int]
    image_tokens: int
    images: Any


@dataclass(frozen=True)
class Likelihoods:
    """How likely some options are after one prefix.

    `logprobs`: of each token of each option; `likeliest`: the token that the model would have put
    in its place, of equal ones the lowest. `evaluated_tokens` were computed and `reused_tokens` of
    the prefix were in the cache from the call before.
    """

    logprobs: list[list[float]]
    likeliest: list[list[int]]
    evaluated_tokens: int
    reused_tokens: int


Prompt = list[int] | Seen
Stop = Callable[[list[int]], bool] | None
"""Whether to stop after these new tokens."""
Mask = Callable[[list[int]], "NDArray[np.bool_]"]
"""By token of the vocabulary: whether it may follow these new tokens. For one answer, in order."""


class Runtime(Protocol):
    """Lives in a worker. Load and context are apart so that each can be timed and weighed.

    Any failure to use the artifact raises `ArtifactRefused`.
    """

    def load(self, path: str, settings: Settings) -> None: ...
    def create_context(self) -> None: ...

    def applied(self) -> dict[str, Any]:
        """What the runtime says it did, as `harness.run.records.Applied`."""
        ...

    def vocabulary(self) -> int: ...

    def evaluate(
        self, prompt: Prompt, new_tokens: int, *,
        stop_at_end: bool, top: int = 0, stop: Stop = None, reuse: bool = False,
        mask: Mask | None = None,
    ) -> Answer:  # fmt: skip
        """Forgets everything, evaluates `prompt`, samples greedily up to `new_tokens`.

        `top`: how many of the likeliest first tokens to tell, whatever `mask` allows. `reuse`
        allows not to forget what the prompt before began with alike, as far as the answer stays the
        same to the bit; a runtime that cannot promise that computes all. All these are for what is
        not timed.
        """
        ...

    def grammar(self, schema: dict[str, Any]) -> Mask:
        """Holds one answer to JSON that a schema allows, and nothing around it.

        Raises ArtifactRefused for a schema or a tokenizer that cannot be used so.
        """
        ...

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        """The log-probability of each token of each option, as if it alone followed `prefix`.

        No option and no prefix is empty. As far as `prefix` begins like that of the call before,
        and where the model's cache can be taken back to there, it is not computed again.
        """
        ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of a text. Special tokens in it are recognised.

        `special` adds those that the model's tokenizer puts around a plain text; a rendered
        prompt holds its own.
        """
        ...

    def see(self, text: str, images: Sequence[Pixels]) -> Seen:
        """A rendered prompt whose template left a mark for each image, in order.

        Preprocessing happens here and is not timed. Refuses where the artifact has no vision part,
        where marks and images differ in number, and what the model's processor cannot take.
        """
        ...

    def detokenize(self, tokens: list[int]) -> str:
        """Text of `tokens`, special tokens shown."""
        ...

    def chat_template(self) -> str: ...

    def header(self) -> dict[str, Any]:
        """Facts from the artifact's own header: parameters, context_window, licence where given."""
        ...


class ArtifactRefused(Exception):
    """The runtime can't use the artifact; the message is the runtime's own."""


class NoRoom(ArtifactRefused):
    """A prompt and its answer take more tokens than the context has."""


def stopped(ended: bool, cut: bool) -> str:
    """What ended an answer: the model itself goes before whoever listens, both before the limit."""
    return "end" if ended else "stop" if cut else "length"


def times(
    start: float, prefilled: float, stamps: list[float], seen: float | None = None
) -> dict[str, Any]:
    """The timing of an answer whose tokens came at `stamps`, and whose images were `seen`."""
    return {
        "image_seconds": None if seen is None else seen - start,
        "prefill_seconds": prefilled - (start if seen is None else seen),
        "first_token_seconds": stamps[0] - start,
        "token_seconds": [after - before for before, after in pairwise(stamps)],
    }


NO_VISION = "the artifact has no vision part that this runtime can use"


def fixed_prompt(length: int, vocabulary: int) -> list[int]:
    """`length` token ids spread over the vocabulary, the same on every machine.

    A multiplicative step (Knuth's 2654435761) visits the ids without a pattern that a model knows.
    """
    return [(index * 2654435761) % vocabulary for index in range(1, length + 1)]
