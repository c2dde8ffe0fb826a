"""Gates: checks that can make a run invalid; and warnings, which only travel with it.

`passed` None means that this run or this machine can't tell; it blocks nothing and is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from harness.metrics import LOOKED_UP
from harness.plan.cells import Cell
from harness.run.protocol import Settings, Shape
from harness.run.records import (
    Applied,
    Gate,
    ItemData,
    LoadData,
    MemoryData,
    Noise,
    Reply,
    Sample,
    SpeedData,
)
from harness.run.values import emulated, value
from harness.statistics import ratio_of_pairs, slope_p

STEAL = (0.01, 0.05)
"""Share of all CPU time taken by the hypervisor: above the first a warning, the second invalid."""
PRESSURE = (0.05, 0.20)
"""Share of the time in which some task waited for a processor: the same."""
FAILED = 0.01
CONTROL_LEVEL = 0.99
SAMPLER_CPU = 0.01


def gates(
    cell: Cell, settings: Settings | None, shape: Shape | None, samples: Sequence[Sample]
) -> list[Gate]:
    """All gates of a run but the session's A/A control."""
    found = [_failures(cell, samples)]
    if replies := _replies(samples):
        return [*found, *_unseen(), _one_model(replies)]
    if settings is None:
        return found
    found += [_settings(settings, samples), _device(cell, samples), _evaluated(shape, samples)]
    if cell.task is None:
        found.append(_output(samples))
    if cell.workload in ("speed", "load"):
        found += [_steal(samples), _pressure(samples), _throttling(samples)]
    if cell.workload == "load":
        found.append(_page_cache(cell, samples))
    return found


def disturbed(noise: Noise) -> bool:
    """Whether others took so much of the machine that nothing timed meanwhile would count.

    A machine that shows neither share never says so.
    """
    shares = ((noise.steal_share, STEAL), (noise.cpu_pressure_share, PRESSURE))
    return any(share is not None and share > limit for share, (_, limit) in shares)


def whole(planned: int, samples: Sequence[Sample]) -> list[Gate]:
    """A run that a look at it ended is for exploration: no verdict may choose its own n."""
    if len(samples) >= planned:
        return []
    detail = f"stopped early, at {len(samples)} of {planned} items: only to explore"
    return [Gate(name="planned n", passed=False, detail=detail)]


def warnings(cell: Cell, samples: Sequence[Sample]) -> list[str]:
    """Reasons to doubt a run that do not make it invalid. What is looked up, noise can't change."""
    if cell.workload in LOOKED_UP:
        return []
    found = []
    if emulated(samples):
        found.append(f"{cell.device} is emulated here: only its answers are the device's own")
    builds = {reply.system_fingerprint for reply in _replies(samples)}
    if len(builds) > 1:
        found.append(f"the server was {len(builds)} builds while it was asked, by its own word")
    for name, share, (doubtful, _) in (
        ("stolen CPU time", _worst(samples, "steal_share"), STEAL),
        ("CPU pressure", _worst(samples, "cpu_pressure_share"), PRESSURE),
    ):
        if share is not None and share > doubtful:
            found.append(f"{name} up to {share:.1%} in one sample")
    # No sample that is watched is timed: too dear a watch breaks our word, not the figures.
    costs = [one.data.sampler.cpu_share for one in samples if isinstance(one.data, MemoryData)]
    if costs and median(costs) > SAMPLER_CPU:
        found.append(f"watching the memory took {median(costs):.2%} of one core")
    rates = [rate for sample in samples if (rate := value("decode_rate", sample)) is not None]
    p = slope_p(rates)
    if cell.workload == "speed" and p is not None and p < 0.01:
        found.append(f"decode rate drifted over the run (p = {p:.3f})")
    return found


def control_gate(measured: Sequence[Sample], control: Sequence[Sample]) -> Gate:
    """The A/A control: one cell run as two arms that took turns must not differ."""
    arms = [
        {sample.index: rate for sample in arm if (rate := value("decode_rate", sample)) is not None}
        for arm in (measured, control)
    ]
    shared = sorted(arms[0].keys() & arms[1].keys())
    ratio = ratio_of_pairs(
        [arms[0][at] for at in shared], [arms[1][at] for at in shared], CONTROL_LEVEL
    )
    name = "A/A control"
    if ratio is None:
        return Gate(name=name, passed=None, detail="fewer than two pairs")
    same = ratio.low <= 1 <= ratio.high
    return Gate(
        name=name,
        passed=same,
        detail=f"ratio {ratio.value:.4f}, {ratio.level:.0%} interval {ratio.low:.4f} to "
        f"{ratio.high:.4f} over {ratio.n} pairs; must hold 1",
    )


def _failures(cell: Cell, samples: Sequence[Sample]) -> Gate:
    """Under a memory cap an out-of-memory end is evidence, not a failure."""
    failed = [
        sample
        for sample in samples
        if sample.cause and not (cell.memory_limit and sample.cause == "out_of_memory")
    ]
    share = len(failed) / len(samples) if samples else 1.0
    why = {str(sample.cause): sample.detail for sample in reversed(failed)}  # the first of each
    causes = ", ".join(f"{cause} ({why[cause]})" if why[cause] else cause for cause in sorted(why))
    detail = f"{len(failed)} of {len(samples)} failed" + (f": {causes}" if causes else "")
    return Gate(name="samples", passed=share <= FAILED, detail=detail)


def _replies(samples: Iterable[Sample]) -> list[Reply]:
    """What a server said of each of its answers; empty where no server was asked."""
    items = (one.data for one in samples if isinstance(one.data, ItemData))
    turns = (turn for item in items for turn in (item, *item.later))
    return [turn.reply for turn in turns if turn.reply]


def _unseen() -> list[Gate]:
    """What cannot be known of a server, each by the name that it has elsewhere."""
    return [
        Gate(name=name, passed=None, detail=detail)
        for name, detail in (
            ("prompt", "prompt not seen: the server renders it"),
            ("settings", "not told: a server may have defaults of its own, penalties for instance"),
            ("evaluated tokens", "not told: the server may have answered from a cache"),
            ("weights", "not seen: which model it is, is what the server says"),
        )
    ]


def _one_model(replies: Sequence[Reply]) -> Gate:
    """Another model behind the same address, half way through, would make two halves of a run."""
    names = sorted({reply.model or "" for reply in replies})
    passed = None if names == [""] else len(names) == 1
    told = {None: "the replies name no model", True: f"every reply is from {names[0]}"}
    detail = told.get(passed, f"replies from {', '.join(name or 'no name' for name in names)}")
    return Gate(name="one model", passed=passed, detail=detail)


def _applied(samples: Iterable[Sample]) -> list[Applied]:
    found = (getattr(sample.data, "applied", None) for sample in samples)
    return [applied for applied in found if applied]


def _settings(asked: Settings, samples: Sequence[Sample]) -> Gate:
    answers = _applied(samples)
    if not answers:
        return Gate(name="settings", passed=None, detail="no process came far enough to be asked")
    wanted = asked.flat()
    wrong = {
        f"{name}: asked {wanted.get(name)}, got {got.get(name)}"
        for got in (applied.settings.flat() for applied in answers)
        for name in wanted | got
        if wanted.get(name) != got.get(name)
    }
    detail = "; ".join(sorted(wrong)) or f"all {len(wanted)} read back as asked"
    return Gate(name="settings", passed=not wrong, detail=detail)


def _device(cell: Cell, samples: Sequence[Sample]) -> Gate:
    used = sorted({applied.settings.device for applied in _applied(samples)})
    if not used:
        return Gate(name="device", passed=None, detail="no process came far enough to be asked")
    return Gate(name="device", passed=used == [cell.device], detail=f"ran on {', '.join(used)}")


def _evaluated(shape: Shape | None, samples: Sequence[Sample]) -> Gate:
    """A prompt of which fewer tokens were computed than it has was answered from a cache."""
    pairs: set[tuple[int, int]] = set()
    for sample in samples:
        data = sample.data
        if isinstance(data, ItemData):
            pairs |= {
                (turn.prompt_tokens - turn.reused_tokens, turn.evaluated_tokens)
                for turn in (data, *data.later)
                if turn.prompt_tokens is not None and turn.evaluated_tokens is not None
            }
        elif shape and isinstance(data, MemoryData):
            pairs.add((shape.prompt_tokens, data.evaluated_tokens))
        elif shape and isinstance(data, SpeedData):
            pairs |= {(shape.prompt_tokens, repeat.evaluated_tokens) for repeat in data.repeats}
    wrong = [pair for pair in sorted(pairs) if pair[0] != pair[1]]
    if not pairs:
        return Gate(name="evaluated tokens", passed=None, detail="nothing was evaluated")
    detail = "; ".join(f"{got} of {asked}" for asked, got in wrong) or "every prompt token"
    return Gate(name="evaluated tokens", passed=not wrong, detail=detail)


def _output(samples: Sequence[Sample]) -> Gate:
    outputs = {
        tuple(sample.data.output)
        for sample in samples
        if isinstance(sample.data, SpeedData | LoadData | MemoryData)
    }
    processes = sum(1 for sample in samples if sample.data)
    if processes < 2:
        return Gate(name="output", passed=None, detail="fewer than two processes to compare")
    detail = f"{len(outputs)} different greedy answers in {processes} processes"
    if len(outputs) == 1:
        detail = f"the same greedy answer in {processes} processes"
    return Gate(name="output", passed=len(outputs) == 1, detail=detail)


def _worst(samples: Sequence[Sample], name: str) -> float | None:
    shares = [getattr(sample.noise, name) for sample in samples if sample.noise]
    known = [share for share in shares if share is not None]
    return max(known) if known else None


def _below(name: str, worst: float | None, limit: float, what: str) -> Gate:
    if worst is None:
        return Gate(name=name, passed=None, detail=f"{what}: this machine does not show it")
    return Gate(name=name, passed=worst <= limit, detail=f"{what} {worst:.2%}, limit {limit:.0%}")


def _steal(samples: Sequence[Sample]) -> Gate:
    return _below("steal", _worst(samples, "steal_share"), STEAL[1], "most stolen CPU time")


def _pressure(samples: Sequence[Sample]) -> Gate:
    worst = _worst(samples, "cpu_pressure_share")
    return _below("pressure", worst, PRESSURE[1], "most CPU pressure")


def _throttling(samples: Sequence[Sample]) -> Gate:
    worst = _worst(samples, "throttle_events")
    detail = "throttle counters: this machine does not show them"
    if worst is not None:
        detail = f"{worst:.0f} throttle events in one sample"
    return Gate(name="throttling", passed=None if worst is None else worst == 0, detail=detail)


def _page_cache(cell: Cell, samples: Sequence[Sample]) -> Gate:
    shares = [s.data.cached_before for s in samples if isinstance(s.data, LoadData)]
    if not shares:
        return Gate(name="page cache", passed=None, detail="nothing was loaded")
    cold = cell.page_cache == "cold"
    passed = max(shares) <= 0.05 if cold else min(shares) >= 0.95
    detail = f"{min(shares):.0%} to {max(shares):.0%} of the file cached before a load"
    return Gate(name="page cache", passed=passed, detail=f"{detail}; asked for {cell.page_cache}")
