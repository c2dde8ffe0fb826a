"""What comparisons of two programs share: pairs of processes that take turns, and their ratio.

A pair is one process of each side; the order turns around after each pair. A pair in which other
work on this machine took part, by the limits at which runs of the harness carry a warning, is left
out and repeated; what it measured plays no part in that, and it is kept in the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import home
from harness.errors import MissingError
from harness.run import noise
from harness.run.gates import PRESSURE, STEAL
from harness.run.machine import describe
from harness.run.manager import Worker
from harness.run.protocol import Request
from harness.run.store import write_whole
from harness.statistics import Estimate, ratio_of_pairs

METRICS = ("prefill", "decode")
_ATTEMPTS = 4

Data = dict[str, Any]
Side = Callable[[Request], Data]
"""One process's data: `output`, and `repeats` as the workload speed has them."""


def harness(request: Request) -> Data:
    """The data of one worker of the workload speed, which ran with the settings asked for."""
    data: Data
    (data,) = (event["data"] for event in Worker(request, silence=600).events())
    applied, asked = data["applied"]["settings"], asdict(request.need_settings())
    if applied != asked:
        raise MissingError(f"the harness ran with {applied}, not with {asked}")
    return data


def compare(request: Request, other: str, side: Side, wanted: int, out: Path | None) -> int:
    """Times `wanted` pairs, ours first in every other one. 0 if we are at least as fast, else 1.

    Raises MissingError where the answers differ or the machine is too busy.
    """
    sides, pairs = {"harness": harness, other: side}, list[Data]()
    while len(_quiet(pairs)) < wanted and len(pairs) < _ATTEMPTS * wanted:
        pairs.append(_measure(request, sides, len(_quiet(pairs))))
        print(_line(pairs, other), flush=True)
        if out:
            write_whole(out, json.dumps(_record(request, pairs, other), indent=1).encode() + b"\n")
    found = _ratios(pairs, other)
    print(_table(found, other))
    if len(_quiet(pairs)) < wanted:
        busy = len(pairs) - len(_quiet(pairs))
        raise MissingError(f"too busy: other work took part in {busy} of {len(pairs)} pairs")
    return 0 if all(_enough(one) for one in found.values()) else 1


def _measure(request: Request, sides: dict[str, Side], index: int) -> Data:
    before = noise.read()
    data = {name: sides[name](request) for name in (reversed(sides) if index % 2 else sides)}
    busy = noise.between(before, noise.read())
    if len({tuple(one["output"]) for one in data.values()}) > 1:
        raise MissingError(f"{' and '.join(sides)} answer the same prompt with other tokens")
    prompt = request.need_shape().prompt_tokens
    rates = {name: _rates(one, prompt) for name, one in data.items()}
    return {"rates": rates, "noise": busy, "left_out": _disturbance(busy), **data}


def _rates(data: Data, prompt_tokens: int) -> dict[str, float]:
    """All tokens of a process over all their time; a prompt's lasts until the first new token."""
    repeats = data["repeats"]
    later = [seconds for one in repeats for seconds in one["token_seconds"]]
    first = sum(one["first_token_seconds"] for one in repeats)
    return {"prefill": prompt_tokens * len(repeats) / first, "decode": len(later) / sum(later)}


def _disturbance(busy: Data) -> str:
    """The other work in a pair's time; empty if there was next to none or none can be told."""
    found = {"CPU pressure": (busy["cpu_pressure_share"], PRESSURE)}
    found["stolen CPU time"] = (busy["steal_share"], STEAL)
    return ", ".join(
        f"{name} {share:.0%}" for name, (share, limits) in found.items() if (share or 0) > limits[0]
    )


def _quiet(pairs: list[Data]) -> list[Data]:
    return [pair for pair in pairs if not pair["left_out"]]


def _ratios(pairs: list[Data], other: str) -> dict[str, Estimate | None]:
    rates = [pair["rates"] for pair in _quiet(pairs)]
    return {
        name: ratio_of_pairs(
            [one["harness"][name] for one in rates], [one[other][name] for one in rates]
        )
        for name in METRICS
    }


def _enough(found: Estimate | None) -> bool:
    return found is not None and found.low >= 1


def _line(pairs: list[Data], other: str) -> str:
    pair = pairs[-1]
    ours, theirs = pair["rates"]["harness"], pair["rates"][other]
    parts = [
        f"{name} {ours[name]:8.2f} / {theirs[name]:8.2f} = {ours[name] / theirs[name]:.4f}"
        for name in METRICS
    ]
    why = f"   left out: {pair['left_out']}" if pair["left_out"] else ""
    return f"pair {len(pairs):2}: {'   '.join(parts)}{why}"


def _table(found: dict[str, Estimate | None], other: str) -> str:
    head = f"harness/{other}"
    rows = [f"{'':8} {head:>16} {'95% interval':>18} {'pairs':>6}  at least 1"]
    for name, one in found.items():
        figures = f"{'no ratio':>16} {'':>18} {'':>6}"
        if one:
            figures = f"{one.value:16.4f} {one.low:8.4f} .. {one.high:.4f} {one.n:6}"
        rows.append(f"{name:8} {figures}  {'yes' if _enough(one) else 'no'}")
    return "\n".join(rows)


def _record(request: Request, pairs: list[Data], other: str) -> Data:
    return {
        "machine": describe(home.root() / "results").model_dump(),
        "request": asdict(request) | {"artifact": Path(str(request.artifact)).name},
        "ratios": {name: one and asdict(one) for name, one in _ratios(pairs, other).items()},
        "pairs": pairs,
    }
