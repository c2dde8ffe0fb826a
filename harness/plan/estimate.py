"""What a cell will cost: seconds from a probe of the model on this machine, bytes from arithmetic.

Everything here is an estimate and is shown as one; no verdict rests on it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from harness.ask.lengths import LongContext
from harness.ask.models import Artifact, Model
from harness.ask.tasks import Task
from harness.ask.yaml_file import Row
from harness.plan.cells import Cell
from harness.run.protocol import Option, Shape
from harness.run.tasks import requests, shows_pictures

SAMPLE_BUDGET_SECONDS = 30.0
PROBE_SHAPE = Shape(prompt_tokens=64, new_tokens=8, repeats=2)
SHAPES = (
    Shape(512, 128, 2, warm_up=512),
    Shape(512, 128, 1, warm_up=512),
    Shape(256, 32, 1),
    Shape(128, 16, 1),
)
"""From the most telling to the quickest; the plan takes the first that fits the budget."""
_MEMORY_SHAPE = Shape(prompt_tokens=64, new_tokens=1, repeats=1)

_TILES = 17  # SmolVLM's most: 16 and the whole picture once more
_PAGE_PIXELS = 1_000_000
_PROMPT_TOKENS = 500.0
_CHECK_TOKENS = 48  # prompt and answer of the output check
_BITS = {"Q4_0": 4.5, "Q4_1": 5.0, "Q8_0": 8.5}
_DTYPE_BITS = {"float32": 32.0, "bfloat16": 16.0, "float16": 16.0}
_OVERHEAD_BYTES = 400 << 20
"""Interpreter, runtime, compute buffers: measured with llama.cpp at 130 to 330 MiB for 0.1B to
3B, with transformers at 370 MiB for 0.1B read from GGUF."""


class Probe(Row):
    """What a short run of a model showed on this machine."""

    load_seconds: float
    prefill_rate: float
    decode_rate: float
    measured: bool = True
    quiet: bool = True
    """Whether the machine was left to it. Else it is too slow, and is made again when it can be."""


def guess(model: Model, bits: float = 5.0) -> Probe:
    """A stand-in until a probe has run: two slow laptop cores, by the number of weights.

    Each token reads them all, so that decoding slows down with the `bits` that a weight takes.
    """
    billions = model.need_geometry().parameters() / 1e9
    return Probe(
        load_seconds=0.5 + billions,
        prefill_rate=50 / billions,
        decode_rate=100 / billions / bits,
        measured=False,
    )


def shape(
    probe: Probe,
    prompt_tokens: int | None,
    new_tokens: int | None = None,
    room: int | None = None,
) -> Shape:
    """The first shape that fits the budget of one sample; the quickest where none does.

    `prompt_tokens`: what a rule demands; only shapes with that prompt are taken then. So many
    `new_tokens` as a rule demands are asked for once, whatever they cost. `room`: the tokens that
    graphs of fixed shapes hold; null where there are none.
    """
    if new_tokens:
        return Shape(prompt_tokens or SHAPES[-1].prompt_tokens, new_tokens, 1)
    candidates = [one for one in SHAPES if prompt_tokens in (None, one.prompt_tokens)]
    if not candidates:
        candidates = [replace(SHAPES[-1], prompt_tokens=int(prompt_tokens or 0))]
    for candidate in candidates:
        fits = room is None or candidate.prompt_tokens + candidate.new_tokens <= room
        if fits and _speed_seconds(probe, candidate) <= SAMPLE_BUDGET_SECONDS:
            return candidate
    return candidates[-1]


def shape_of(cell: Cell, probe: Probe, artifact: Artifact) -> Shape | None:
    """The shape in which a cell is run; None where it has none."""
    if cell.workload == "memory":
        return _MEMORY_SHAPE
    if cell.workload == "speed":
        return shape(probe, cell.prompt_tokens, cell.new_tokens, artifact.context)
    return None


def picture_work(model: Model, task: Task | None) -> float:
    """How many tokens of text would be as much work as one picture of the task: a scanned page.

    It is fed as tokens, after all patches of all tiles have gone through the vision tower.
    """
    vision = model.vision
    if task is None or vision is None or not shows_pictures(task.kind):
        return 0.0
    if vision.tokens_per_tile:
        patches = _TILES * (vision.image // vision.patch) ** 2
        tokens = _TILES * vision.tokens_per_tile
    else:
        patches = _PAGE_PIXELS // vision.patch**2
        tokens = patches // vision.merge**2
    return tokens + patches * vision.parameters() / model.need_geometry().parameters()


def sample_seconds(
    cell: Cell, probe: Probe, shape: Shape | None, task: Task | None, pictured: float = 0.0
) -> float:
    """Seconds of one sample or one item; `pictured` is its `picture_work`."""
    start = 0.7 + probe.load_seconds
    if task:
        return pictured / probe.prefill_rate + fmean(_item_seconds(probe, task))
    if shape and cell.workload == "speed":
        return _speed_seconds(probe, shape)
    if shape:
        return start + (shape.prompt_tokens + _CHECK_TOKENS) / probe.prefill_rate + 2
    return start + _CHECK_TOKENS / probe.decode_rate


def slowest_seconds(probe: Probe, task: Task) -> float:
    """Seconds of a task's longest item."""
    return max(_item_seconds(probe, task))


def _item_seconds(probe: Probe, task: Task) -> list[float]:
    """Seconds of an item of each length that the task has, of any item where it has none.

    Of a conversation each prompt begins with the one before, which is computed once.
    """
    requests, _, new = item_requests(task)
    prompts = [task.context / 2] if task.context else [_PROMPT_TOKENS]
    if isinstance(task.options, LongContext):
        prompts = [float(length) for length in task.options.lengths]
    answering = requests * new / probe.decode_rate
    return [prompt / probe.prefill_rate + answering for prompt in prompts]


def item_requests(task: Task) -> tuple[float, float, float]:
    """Of an item: requests, and tokens of a request's prompt and of its answer, as a rule.

    A BFCL item is some 500 prompt tokens; most answers end before half the limit. What needs more
    room than others is a conversation: some 8 answers to what fills the half of it in the end.
    """
    new = task.max_new_tokens / 2
    if task.context:
        return 8.0, task.context / 4, new
    return requests(task.kind), _PROMPT_TOKENS, new


def memory_bytes(
    model: Model, artifact: Artifact, context: int, dtype: Option | None = None
) -> int:
    """Weights, KV cache and overhead. Repacked weights take their size again, file pages aside.

    `dtype`: what the runtime turns weights into and keeps the cache in, where it does.
    """
    weights = int(model.need_geometry().parameters() * weight_bits(artifact, dtype) / 8)
    cache = int(model.need_geometry().kv_bytes(context) * _cache_bits(artifact, dtype) / 16)
    return weights + cache + _OVERHEAD_BYTES


def _cache_bits(artifact: Artifact, dtype: Option | None) -> float:
    """Bits of a key's or value's number. An ONNX graph's are those that it computes in: 32 however
    its weights are quantised, unless the quantisation's name ends in another (fp16, q4f16)."""
    if dtype:
        return _DTYPE_BITS[str(dtype)]
    return 32.0 if artifact.format == "onnx" and not artifact.quantisation.endswith("16") else 16.0


def weight_bits(artifact: Artifact, dtype: Option | None = None) -> float:
    """Bits that a weight takes in memory: those of the `dtype` it is turned into, else as stored.

    Of a quantisation that is not known, the number in its name and half a bit of scales, else 16.
    """
    if dtype:
        return _DTYPE_BITS[str(dtype)]
    quantisation = artifact.quantisation
    digits = re.search(r"\d+", quantisation)
    return _BITS.get(quantisation) or (int(digits[0]) + 0.5 if digits else 16.0)


def memory_available() -> int | None:
    """Bytes that programs can still take (MemAvailable); None where the system doesn't say."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("MemAvailable:")), None)
    return int(line.split()[1]) * 1024 if line else None


def _speed_seconds(probe: Probe, shape: Shape) -> float:
    once = shape.prompt_tokens / probe.prefill_rate + shape.new_tokens / probe.decode_rate
    warm_up = shape.warm_up / probe.prefill_rate + (8 + _CHECK_TOKENS) / probe.decode_rate
    return 0.7 + probe.load_seconds + warm_up + shape.repeats * once
