"""A stored run: its shape, digests, counts, dates and gates, from its own samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from harness.check import problems
from harness.check.problems import Problem
from harness.check.surroundings import CONTROL, Surroundings
from harness.errors import BadFile
from harness.run import gates, store
from harness.run.records import Gate, ItemData, Run, Sample

FILES = ("run.json", "samples.jsonl")
_KINDS = {None: "item", "prices": "facts", "calls": "facts"}
"""Of data, where it is not called like its workload."""
_CLOCKS = timedelta(seconds=1)
"""Samples last by the monotonic clock and begin by the calendar's, which may be set meanwhile."""


def check(folder: Path, around: Surroundings) -> list[Problem]:
    """What is wrong with the run in `folder`; empty where nothing is."""
    name = f"{folder.parent.name}/{folder.name}"
    try:
        for file in FILES:
            for line in _documents(folder / file):
                problems.load(line)
        run, samples = store.read_run(folder), store.read_samples(folder)
    except (BadFile, ValueError) as error:
        return [Problem(name, "schema and digest", "", str(error))]
    found = [("counts", *one) for one in _counts(run, samples)]
    found += [("names", *one) for one in _names(run, folder)]
    found += [("dates", *one) for one in _dates(run, samples)]
    found += [("gates", *one) for one in _gates(run, samples, folder, around)]
    found += [("digest", *one) for one in _changed(folder, around)]
    return [Problem(name, *one) for one in found]


def _documents(path: Path) -> list[bytes]:
    raw = path.read_bytes() if path.is_file() else b""  # the store's own words for what is missing
    return raw.splitlines() if path.suffix == ".jsonl" else [raw] if raw else []


def _counts(run: Run, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    failed = sum(1 for sample in samples if sample.cause)
    if run.samples != len(samples):
        yield "samples", f"{run.samples} stored, {len(samples)} lines"
    if run.failed != failed:
        yield "failed", f"{run.failed} stored, {failed} samples with a cause"
    if run.planned > len(samples):
        yield "planned", f"{run.planned}, and {len(samples)} samples are a run under way"
    if [sample.index for sample in samples] != list(range(len(samples))):
        yield "samples", "are not numbered 0, 1, 2, .."
    for sample in samples:
        if (sample.cause is None) == (sample.data is None):
            yield f"samples.{sample.index}", "has data exactly where it has no cause"
        elif sample.data and sample.data.kind != _KINDS.get(run.cell.workload, run.cell.workload):
            yield f"samples.{sample.index}", f"data of kind '{sample.data.kind}' in {run.cell.name}"
        elif isinstance(sample.data, ItemData) and sample.data.correct and sample.data.partial:
            yield f"samples.{sample.index}", "is correct, and worth a part"


def _names(run: Run, folder: Path) -> Iterator[tuple[str, str]]:
    began = run.started.replace(":", "").replace("-", "")
    arm = "_control" if run.arm == "control" else ""
    expected = f"{began}_{run.cell.name}{arm}_{run.key[:8]}"
    if run.id != expected:
        yield "id", f"start, cell, arm and key make it {expected}"
    if run.id != folder.name:
        yield "id", f"lies in {folder.name}"
    if run.machine != folder.parent.name:
        yield "machine", f"lies in {folder.parent.name}"


def _dates(run: Run, samples: Sequence[Sample]) -> Iterator[tuple[str, str]]:
    try:
        began, ended = datetime.fromisoformat(run.started), datetime.fromisoformat(run.ended)
        starts = [datetime.fromisoformat(sample.started) for sample in samples]
        ends = [
            start + timedelta(seconds=sample.seconds)
            for start, sample in zip(starts, samples, strict=True)
        ]
        if starts and starts[0] != began:
            yield "started", f"{run.started}, and the first sample began {samples[0].started}"
        if starts != sorted(starts):
            yield "samples", "did not begin in their order"
        if max([began, *ends]) > ended + _CLOCKS:
            yield "ended", f"{run.ended}, before the last sample was over"
    except (ValueError, TypeError, OverflowError) as error:  # TypeError: with and without a zone
        yield "started", f"no dates: {error}"


def _gates(
    run: Run, samples: list[Sample], folder: Path, around: Surroundings
) -> Iterator[tuple[str, str]]:
    """By name and result: what a gate says of itself may be put into other words later.

    One that only an older version knew is left as it is: it can make a run invalid, never valid.
    """
    again = {gate.name: gate for gate in _again(run, samples, folder, around)}
    stored = {gate.name: gate for gate in run.gates}
    if len(stored) != len(run.gates):
        yield "gates", "one name stands twice"
    for name in sorted(stored.keys() | again.keys()):
        mine, derived = stored.get(name), again.get(name)
        if derived and not mine and derived.passed is False:
            yield f"gates.{name}", f"left out, and it fails: {derived.detail}"
        elif derived and mine and mine.passed != derived.passed:
            yield f"gates.{name}", f"{mine.passed} stored, {derived.passed} derived"


def _again(run: Run, samples: list[Sample], folder: Path, around: Surroundings) -> list[Gate]:
    found = gates.gates(run.cell, run.settings, run.shape, samples)
    if any(gate.name == CONTROL for gate in run.gates):
        found.append(around.control(folder.parent, run.session))
    return found


def _changed(folder: Path, around: Surroundings) -> Iterator[tuple[str, str]]:
    """Against the digests in the verdicts that rest on this run: run.json has none of its own."""
    for file in (folder / name for name in FILES):
        for claim, expected in around.cited.get(_below_results(file), ()):
            if around.digest(file) != expected:
                yield file.name, f"not what the verdict on {claim} rests on"


def _below_results(file: Path) -> str:
    return file.relative_to(file.parents[2]).as_posix()
