"""The measured runs, laid out so that ten thousand claims find theirs, and their samples.

Which run speaks on a claim depends on runs alone; samples are read after that, run by run, each
once for all the claims on it where they are asked for in the order of the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.ask.claims import Claim, Rule
from harness.judge.estimates import fact_name
from harness.metric import TWO_RUNS
from harness.metrics import LOOKED_UP, METRICS
from harness.plan.cells import Cell, cells_of
from harness.run import store
from harness.run.records import FactsData, Run, Sample
from harness.run.values import emulated


@dataclass(frozen=True)
class Stored:
    """A finished run and where it lies."""

    folder: Path
    run: Run


@dataclass(frozen=True)
class Chosen:
    """The runs that speak on a claim, one per cell. `machine` None: true on any machine."""

    claim: Claim
    rule: Rule
    machine: str | None
    runs: tuple[Stored, ...]


class Shelf:
    """The measured runs below `results`, by cell. Raises BadFile for a damaged record."""

    def __init__(self, results: Path) -> None:
        self._by_cell: dict[Cell, list[Stored]] = {}
        for folder, run in store.runs(results):
            if run.arm == "measured":
                self._by_cell.setdefault(run.cell, []).append(Stored(folder, run))
        self._held: dict[Path, list[Sample]] = {}
        self._facts: dict[Path, set[str]] = {}

    def chosen(self, claim: Claim) -> list[Chosen]:
        """One entry per machine that ran all the claim's cells; facts need one machine only."""
        if claim.rule is None:
            return []
        cells, rule = cells_of(claim), claim.rule
        if METRICS[rule.metric].comes_from in LOOKED_UP:
            # True on any machine: the newest run speaks, wherever it was made.
            newest = _latest(self._telling(self._of(cells[0]), rule), rule)
            return [Chosen(claim, rule, None, (newest,))] if newest else []
        found = []
        for machine in sorted({one.run.machine for one in self._of(cells[0])}):
            pools = [[o for o in self._of(cell) if o.run.machine == machine] for cell in cells]
            runs = _one_each(pools, rule)
            if runs:
                found.append(Chosen(claim, rule, machine, runs))
        return found

    def samples(self, runs: Sequence[Stored]) -> list[list[Sample]]:
        """Of each run. Held until other runs are asked for: a million samples fill a machine."""
        folders = {one.folder for one in runs}
        self._held = {
            folder: self._held[folder] if folder in self._held else store.read_samples(folder)
            for folder in folders
        }
        return [self._held[one.folder] for one in runs]

    def _of(self, cell: Cell) -> list[Stored]:
        return self._by_cell.get(cell, [])

    def _telling(self, stored: list[Stored], rule: Rule) -> list[Stored]:
        """Of a call the runs that tried it: where its library is missing, nothing was."""
        if rule.conditions.call is None:
            return stored
        return [one for one in stored if fact_name(rule) in self._fact_names(one)] or stored

    def _fact_names(self, stored: Stored) -> set[str]:
        if stored.folder not in self._facts:
            (samples,) = self.samples([stored])
            data = (one.data for one in samples)
            known = {fact.name for one in data if isinstance(one, FactsData) for fact in one.facts}
            self._facts[stored.folder] = known
        return self._facts[stored.folder]


def _one_each(pools: Sequence[list[Stored]], rule: Rule) -> tuple[Stored, ...]:
    """A run per cell, none where one is missing; of a pair the newest session that is good."""
    choices = [pools]
    if is_paired(rule):
        sessions = sorted({one.run.session for pool in pools for one in pool})
        choices += [
            [[one for one in pool if one.run.session == session] for pool in pools]
            for session in sessions
        ]
    found = [[_latest(pool, rule) for pool in pools] for pools in choices]
    complete = [tuple(run for run in runs if run) for runs in found if None not in runs]
    return max(
        complete,
        key=lambda runs: (problem(rule, runs) is None, max(one.run.started for one in runs)),
        default=(),
    )


def is_paired(rule: Rule) -> bool:
    return METRICS[rule.metric].statistic == "paired"


def _latest(stored: Iterable[Stored], rule: Rule) -> Stored | None:
    """The newest run; a valid one before any invalid one, a complete one before a short one."""
    return max(
        stored,
        key=lambda one: (one.run.valid, one.run.samples >= rule.n, one.run.started, one.run.id),
        default=None,
    )


def problem(rule: Rule, runs: Sequence[Stored]) -> str | None:
    """Why runs do not count as evidence, as far as the runs themselves tell."""
    for run in (one.run for one in runs):
        failed = [gate for gate in run.gates if gate.passed is False]
        if failed:
            return f"the run is invalid: gate '{failed[0].name}' failed ({failed[0].detail})"
        weights = run.artifact.weights if run.artifact else None
        if METRICS[rule.metric].comes_from is None and weights == "synthetic":
            return "synthetic weights say nothing of accuracy"
        if run.cell.unwatched:
            return run.cell.unwatched
        if run.settings and run.cell.context not in (None, run.settings.context):
            return f"asked for a context of {run.cell.context}, run at {run.settings.context}"
        if run.samples < rule.n and METRICS[rule.metric].comes_from not in LOOKED_UP:
            return f"{run.samples} samples of the {rule.n} planned"
    return _apart(rule, [one.run for one in runs])


def played(rule: Rule, samples: Iterable[Sequence[Sample]]) -> str | None:
    """An emulator gives a device's answers, at the speed and in the memory of another one."""
    if METRICS[rule.metric].comes_from is None or not any(map(emulated, samples)):
        return None
    return "an emulated device says nothing of speed or memory"


def _apart(rule: Rule, runs: Sequence[Run]) -> str | None:
    """Why runs of several cells can't be read together; None where they can."""
    if METRICS[rule.metric].statistic in TWO_RUNS:
        return None  # answers do not drift: the same items, whenever they were asked
    if is_paired(rule):
        # Sessions of the same cells share a name: what took turns also overlaps in time.
        turns = max(run.started for run in runs) <= min(run.ended for run in runs)
        together = turns and len({run.session for run in runs}) == 1
        return None if together else "the two models were not timed in one session"
    builds = {
        (run.runtime and run.runtime.version, run.artifact and run.artifact.sha256) for run in runs
    }
    return "the runs are of different runtime versions or artifacts" if len(builds) > 1 else None
