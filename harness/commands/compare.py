"""Two runs: of a workload the ratio of each metric, of a task whether scores compare, and how."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness import home, statistics
from harness.commands import listing
from harness.errors import UnknownName, UserError
from harness.judge import text
from harness.judge.paired import POWER, Paired, paired
from harness.judge.parity import Parity, parity
from harness.metrics import METRICS
from harness.run import store
from harness.run.records import Run, Sample
from harness.run.values import value


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a run's id; see: harness runs")
    parser.add_argument("b", metavar="B")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.02,
        help="mean values of a task's answers that differ by less are the same (default 0.02)",
    )


def run(options: argparse.Namespace) -> int:
    found = {run.id: (folder, run) for folder, run in store.runs(home.root() / "results")}
    for name in (options.a, options.b):
        if name not in found:
            raise UnknownName("run", name, found)
    (folder_a, a), (folder_b, b) = found[options.a], found[options.b]
    if a.cell.workload != b.cell.workload or a.cell.task != b.cell.task:
        raise UserError(f"{a.cell.name} and {b.cell.name} measure different things")
    if a.cell.task:
        quantisations = (a.cell.quantisation, b.cell.quantisation)
        samples = (store.read_samples(folder_a), store.read_samples(folder_b))
        compared = parity(*samples, quantisations)
        margin, answers = _margin(options.margin), not text.agreement(*samples).same
        status = _tell(compared, answers)
        if compared.passed and answers:
            _tell_loss(paired(*samples, margin))
        elif compared.passed:
            _tell_text(*text.shared(*samples))
        return status
    together = a.session == b.session and a.machine == b.machine
    rows = _ratios(folder_a, folder_b, a.cell.workload) if together else []
    if not rows:
        raise UserError(_why_not(a, b, together))
    listing.table(("metric", "A / B", "95% interval", "pairs"), rows)
    return 0


def _tell(found: Parity, answers: bool) -> int:
    """The parity of two runs of a task; status 1 where their scores do not compare.

    Where no `answers` were given but a text was scored, nothing is told of them.
    """
    counts = (
        ("same rendered prompt", found.same_prompt),
        ("same token ids", found.same_ids),
        ("same number of image tokens", found.same_image_tokens),
        ("same answer", found.same_output),
    )
    rows = [(name, f"{count}/{found.items}") for name, count in counts]
    if not answers:
        rows.pop()
    listing.table(("of items in both", "items"), rows)
    if found.apart is not None and found.typically is not None:
        allowed = "" if found.allowed is None else f"; rounding explains {found.allowed:g}"
        print(
            f"log-probabilities of first tokens typically {found.typically:.2g} apart, at most "
            f"{found.apart:.3g}{allowed}"
        )
    if answers and found.same_output < found.items:
        part = found.parting
        print(
            f"other answers: {part.at_a_tie} part at a first token that is as good as a tie, "
            f"{part.at_first} at another first token, {part.later} later"
        )
    for reason in found.reasons:
        print(f"scores do not compare: {reason}")
    return 0 if found.passed else 1


def _margin(margin: float) -> float:
    if not 0 < margin < 1:
        raise UserError(f"--margin {margin}: a share between 0 and 1")
    return margin


def _tell_loss(found: Paired | None) -> None:
    """What the second run lost against the first, on the items of both."""
    if found is None:
        return
    loss = found.loss
    print(
        f"right: A {found.first:g}/{loss.n}, B {found.second:g}/{loss.n}; "
        f"A better on {found.only_first}, B better on {found.only_second}; "
        f"{found.test} p = {found.p:.3g}"
    )
    interval = f"{loss.low:+.1%} to {loss.high:+.1%}, {loss.level:.0%} interval, {loss.method}"
    print(f"A less B: {loss.value:+.1%} ({interval})")
    if found.same:
        print(f"the same within {found.margin:.1%}")
    elif found.p < 1 - statistics.LEVEL:
        print("not the same")
    else:
        print(
            f"open: these items show two equal runs the same within {found.margin:.1%} with a "
            f"chance of {found.power:.0%}; for {POWER:.0%} it takes about {found.needed:,} items"
        )


def _tell_text(a: Sequence[Sample], b: Sequence[Sample]) -> None:
    """Of the same windows: perplexities, and how often both hold one token for likeliest."""
    ratio, same = text.ratio(a, b), text.agreement(a, b).estimate()
    if ratio is None or same is None:
        return
    one, other = text.perplexity(a), text.perplexity(b)
    if one and other:
        print(f"perplexity: A {one.value:.3f}, B {other.value:.3f}")
    print(
        f"A / B: {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f}, {ratio.level:.0%} "
        f"interval, {ratio.method})"
    )
    print(
        f"same likeliest token: {same.value:.2%} of {same.n:,} ({same.low:.2%} to {same.high:.2%}, "
        f"{same.level:.0%} interval, {same.method})"
    )


def _ratios(a: Path, b: Path, workload: str | None) -> list[tuple[str, str, str, int]]:
    rows = []
    for metric in METRICS.values():
        if metric.statistic != "log_t" or metric.comes_from != workload:
            continue
        arms = [
            {one.index: found for one in samples if (found := value(metric.name, one)) is not None}
            for samples in (store.read_samples(a), store.read_samples(b))
        ]
        shared = sorted(arms[0].keys() & arms[1].keys())
        above, below = ([arm[at] for at in shared] for arm in arms)
        ratio = statistics.ratio_of_pairs(above, below)
        if ratio:
            interval = f"{ratio.low:.4f} to {ratio.high:.4f}"
            rows.append((metric.name, f"{ratio.value:.4f}", interval, ratio.n))
    return rows


def _why_not(a: Run, b: Run, together: bool) -> str:
    if not together:
        return "the runs are of two sessions: times of two sessions are not comparable"
    return f"{a.cell.name}: no timed metric to compare"
