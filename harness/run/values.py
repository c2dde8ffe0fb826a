"""One number per sample: how each metric is read off a sample's raw data.

A metric that a sample can't carry (too few tokens for a tail) is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean

from harness.run.records import LoadData, MemoryData, Sample, SpeedData
from harness.statistics import percentile


def value(metric: str, sample: Sample) -> float | None:
    """The metric's value in one sample of its workload; None where it has none."""
    data = sample.data
    if isinstance(data, SpeedData) and metric in _SPEED:
        return _SPEED[metric](data)
    if isinstance(data, LoadData) and metric == "load_time":
        return data.model_seconds + data.context_seconds
    if isinstance(data, MemoryData) and metric in _MEMORY:
        return _MEMORY[metric](data)
    return None


def emulated(samples: Iterable[Sample]) -> bool:
    """Whether any of them ran on a device that another processor plays."""
    found = (getattr(sample.data, "applied", None) for sample in samples)
    return any(applied.emulated for applied in found if applied)


def _prefill_rate(data: SpeedData) -> float:
    tokens = sum(repeat.evaluated_tokens for repeat in data.repeats)
    return tokens / sum(repeat.prefill_seconds for repeat in data.repeats)


def _decode_rate(data: SpeedData) -> float | None:
    times = _token_seconds(data)
    return len(times) / sum(times) if times else None


def _token_seconds(data: SpeedData) -> list[float]:
    return [seconds for repeat in data.repeats for seconds in repeat.token_seconds]


def _tail(share: float) -> Callable[[SpeedData], float | None]:
    return lambda data: percentile(_token_seconds(data), share)


def _anonymous_peak(data: MemoryData) -> float:
    return float(max(phase.anonymous_peak for phase in data.phases))


def _resident_peak(data: MemoryData) -> float | None:
    peaks = [phase.resident_peak for phase in data.phases]
    return None if None in peaks or not peaks else float(max(peak for peak in peaks if peak))


def context_growth(data: MemoryData) -> int | None:
    """Anonymous bytes that creating the context added: KV cache and little else."""
    ends = {phase.name: phase.anonymous_end for phase in data.phases}
    return ends["context"] - ends["load"] if {"context", "load"} <= ends.keys() else None


def decode_faults(data: MemoryData) -> int:
    """Major faults while decoding: pages of weights that came from the disk again."""
    return sum(phase.major_faults for phase in data.phases if phase.name == "decode")


_SPEED: dict[str, Callable[[SpeedData], float | None]] = {
    "prefill_rate": _prefill_rate,
    "decode_rate": _decode_rate,
    "decode_ratio": _decode_rate,
    "time_to_first_token": lambda data: fmean(
        repeat.first_token_seconds for repeat in data.repeats
    ),
    "inter_token_p50": _tail(0.5),
    "inter_token_p90": _tail(0.9),
    "inter_token_p99": _tail(0.99),
}
_MEMORY: dict[str, Callable[[MemoryData], float | None]] = {
    "anonymous_peak": _anonymous_peak,
    "resident_peak": _resident_peak,
    "kv_bytes_per_token": context_growth,
    "largest_context": _anonymous_peak,
}
