"""What comparisons of two programs share: pairs of processes that take turns, and their ratio.

A pair is one process of each side, or one turn of each in a process that they share; the order
turns around after each pair. A pair in which other work on this machine took part, by the limits at
which runs of the harness carry a warning, is left out and repeated; what it measured plays no part
in that, and it is kept in the JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import home
from harness.errors import MissingError
from harness.run import noise
from harness.run.gates import PRESSURE, STEAL
from harness.run.machine import describe
from harness.run.manager import Worker
from harness.run.protocol import Request
from harness.run.runtimes import RUNTIMES
from harness.run.store import write_whole
from harness.statistics import Estimate, ratio_of_pairs

_ATTEMPTS = 4

Data = dict[str, Any]
Rates = dict[str, float]


def harness(request: Request) -> Data:
    """The data of one worker of the workload speed, which ran with the settings asked for."""
    data: Data
    (data,) = (event["data"] for event in Worker(request, silence=600).events())
    applied, asked = data["applied"]["settings"], asdict(request.need_settings())
    if applied != asked:
        raise MissingError(f"the harness ran with {applied}, not with {asked}")
    return data


@dataclass(frozen=True)
class Other:
    """What the harness is compared with, and by which rates.

    `run` answers with its data of one pair, `run_ours` with the harness's. `ours` and `theirs` turn
    a side's data into rates. `goal` says in words what `enough` asks of each ratio's interval.
    """

    name: str
    run: Callable[[Request], Data]
    ours: Callable[[Request, Data], Rates]
    theirs: Callable[[Request, Data], Rates]
    enough: Callable[[Estimate], bool]
    goal: str
    run_ours: Callable[[Request], Data] = harness


def at_least_as_fast(
    name: str, run: Callable[[Request], Data], run_ours: Callable[[Request], Data] = harness
) -> Other:
    """A program whose data have `output` and `repeats` as the workload speed has them."""
    rates, enough = rates_to_first, lambda one: one.low >= 1
    return Other(name, run, rates, rates, enough, "at least 1", run_ours)


def parser(doc: str, pairs: int = 20) -> argparse.ArgumentParser:
    """The options that all comparisons have, under the first and the last paragraph of `doc`."""

    def count(text: str) -> int:
        if int(text) < 1:
            raise ValueError
        return int(text)

    words = doc.split("\n\n")
    made = argparse.ArgumentParser(description=words[0], epilog=words[-1])
    made.add_argument("--pairs", type=count, default=pairs, help=f"pairs ({pairs})")
    made.add_argument("--repeats", type=count, default=1, help="repeats in each process (1)")
    made.add_argument("--prompt", type=count, default=512, help="prompt tokens (512)")
    made.add_argument("--new", type=count, default=128, help="new tokens (128)")
    made.add_argument("--threads", type=count, help="threads (this machine's cores)")
    made.add_argument("--out", type=Path, help="a JSON file for all raw samples")
    return made


def process(name: str, command: Sequence[str], told: str, **environment: str) -> Data:
    """The JSON that a process of the other side answers with. Raises MissingError if it fails."""
    done = subprocess.run(
        command, input=told, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if done.returncode:
        raise MissingError(f"{name}: exit status {done.returncode}: {done.stderr.strip()[-600:]}")
    found: Data = json.loads(done.stdout)
    return found


def compare(request: Request, other: Other, wanted: int, out: Path | None) -> int:
    """Times `wanted` pairs, ours first in every other one. 0 if every ratio is enough, else 1.

    Raises MissingError where the answers differ or the machine is too busy.
    """
    pairs: list[Data] = []
    while len(_quiet(pairs)) < wanted and len(pairs) < _ATTEMPTS * wanted:
        pairs.append(_measure(request, other, len(_quiet(pairs))))
        print(_line(pairs, other), flush=True)
        if out:
            write_whole(out, json.dumps(_record(request, pairs, other), indent=1).encode() + b"\n")
    found = _ratios(pairs, other)
    print(_table(found, other))
    if len(_quiet(pairs)) < wanted:
        busy = len(pairs) - len(_quiet(pairs))
        raise MissingError(f"too busy: other work took part in {busy} of {len(pairs)} pairs")
    return 0 if all(_enough(one, other) for one in found.values()) else 1


def _measure(request: Request, other: Other, index: int) -> Data:
    sides = {"harness": other.run_ours, other.name: other.run}
    before = noise.read()
    data = {name: sides[name](request) for name in (reversed(sides) if index % 2 else sides)}
    busy = noise.between(before, noise.read())
    if len({tuple(one["output"]) for one in data.values() if "output" in one}) > 1:
        raise MissingError(f"{' and '.join(sides)} answer the same prompt with other tokens")
    ours, theirs = data["harness"], data[other.name]
    rates = {"harness": other.ours(request, ours), other.name: other.theirs(request, theirs)}
    return {"rates": rates, "noise": busy, "left_out": _disturbance(busy), **data}


def rates_to_first(request: Request, data: Data) -> Rates:
    """All tokens of a process over all their time; a prompt's lasts until the first new token."""
    repeats, prompt = data["repeats"], request.need_shape().prompt_tokens
    later = [seconds for one in repeats for seconds in one["token_seconds"]]
    first = sum(one["first_token_seconds"] for one in repeats)
    return {"prefill": prompt * len(repeats) / first, "decode": len(later) / sum(later)}


def _disturbance(busy: Data) -> str:
    """The other work in a pair's time; empty if there was next to none or none can be told."""
    found = {"CPU pressure": (busy["cpu_pressure_share"], PRESSURE)}
    found["stolen CPU time"] = (busy["steal_share"], STEAL)
    return ", ".join(
        f"{name} {share:.0%}" for name, (share, limits) in found.items() if (share or 0) > limits[0]
    )


def _quiet(pairs: list[Data]) -> list[Data]:
    return [pair for pair in pairs if not pair["left_out"]]


def _ratios(pairs: list[Data], other: Other) -> dict[str, Estimate | None]:
    rates = [pair["rates"] for pair in _quiet(pairs)]
    return {
        name: ratio_of_pairs(
            [one["harness"][name] for one in rates], [one[other.name][name] for one in rates]
        )
        for name in pairs[0]["rates"]["harness"]
    }


def _enough(found: Estimate | None, other: Other) -> bool:
    return found is not None and other.enough(found)


def _line(pairs: list[Data], other: Other) -> str:
    pair = pairs[-1]
    ours, theirs = pair["rates"]["harness"], pair["rates"][other.name]
    parts = [
        f"{name} {ours[name]:8.2f} / {theirs[name]:8.2f} = {ours[name] / theirs[name]:.4f}"
        for name in ours
    ]
    why = f"   left out: {pair['left_out']}" if pair["left_out"] else ""
    return f"pair {len(pairs):2}: {'   '.join(parts)}{why}"


def _table(found: dict[str, Estimate | None], other: Other) -> str:
    head = f"harness/{other.name}"
    rows = [f"{'':8} {head:>20} {'95% interval':>18} {'pairs':>6}  {other.goal}"]
    for name, one in found.items():
        figures = f"{'no ratio':>20} {'':>18} {'':>6}"
        if one:
            figures = f"{one.value:20.4f} {one.low:8.4f} .. {one.high:.4f} {one.n:6}"
        rows.append(f"{name:8} {figures}  {'yes' if _enough(one, other) else 'no'}")
    return "\n".join(rows)


def _record(request: Request, pairs: list[Data], other: Other) -> Data:
    return {
        "machine": describe(home.root() / "results").model_dump(),
        "packages": {name: version(name) for name in _distributions(request)},
        "request": asdict(request) | {"artifact": Path(str(request.artifact)).name},
        "ratios": {name: one and asdict(one) for name, one in _ratios(pairs, other).items()},
        "pairs": pairs,
    }


def _distributions(request: Request) -> tuple[str, ...]:
    return next(one.distributions for one in RUNTIMES.values() if one.target == request.runtime)
