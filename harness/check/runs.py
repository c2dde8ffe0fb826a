"""A stored run: its shape, digests, counts, dates and gates, from its own samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from harness.check import problems
from harness.check.problems import Problem
from harness.errors import BadFile
from harness.judge import verdicts
from harness.run import gates, store
from harness.run.records import Gate, ItemData, Run, Sample

FILES = ("run.json", "samples.jsonl")
_CONTROL = "A/A control"
_KINDS = {None: "item", "prices": "facts", "calls": "facts"}
"""Of data, where it is not called like its workload."""
_CLOCKS = timedelta(seconds=1)
"""Samples last by the monotonic clock and begin by the calendar's, which may be set meanwhile."""


Cited = Mapping[str, Sequence[tuple[str, str]]]
"""By path below the results: the claims whose verdicts rest on the file, and the digest in each."""


def check(folder: Path, cited: Cited) -> list[Problem]:
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
    found += [("gates", *one) for one in _gates(run, samples, folder)]
    found += [("digest", *one) for one in _changed(folder, cited)]
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


def _gates(run: Run, samples: list[Sample], folder: Path) -> Iterator[tuple[str, str]]:
    """By name and result: what a gate says of itself may be put into other words later.

    One that only an older version knew is left as it is: it can make a run invalid, never valid.
    """
    again = {gate.name: gate for gate in _again(run, samples, folder)}
    stored = {gate.name: gate for gate in run.gates}
    if len(stored) != len(run.gates):
        yield "gates", "one name stands twice"
    for name in sorted(stored.keys() | again.keys()):
        mine, derived = stored.get(name), again.get(name)
        if derived and not mine and derived.passed is False:
            yield f"gates.{name}", f"left out, and it fails: {derived.detail}"
        elif derived and mine and mine.passed != derived.passed:
            yield f"gates.{name}", f"{mine.passed} stored, {derived.passed} derived"


def _again(run: Run, samples: list[Sample], folder: Path) -> list[Gate]:
    found = gates.gates(run.cell, run.settings, run.shape, samples)
    if any(gate.name == _CONTROL for gate in run.gates):
        found.append(_control(run, folder))
    return found


def _control(run: Run, folder: Path) -> Gate:
    """The session's A/A control, from its two arms."""
    for path in sorted(folder.parent.glob("*_control_*/run.json")):
        control = store.read_run(path.parent)
        if (control.session, control.arm) != (run.session, "control"):
            continue
        for other in sorted(folder.parent.glob(f"*_{control.cell.name}_*/run.json")):
            measured = store.read_run(other.parent)
            same = (measured.session, measured.cell) == (control.session, control.cell)
            if same and measured.arm == "measured":
                arms = store.read_samples(other.parent), store.read_samples(path.parent)
                return gates.control_gate(*arms)
    return Gate(name=_CONTROL, passed=None, detail="its two arms are not here")


def cited(results: Path) -> Cited:
    """What all verdicts below `results` rest on."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(results.glob("verdicts/*/*.json")):
        try:
            findings = verdicts.parse(path.read_bytes()).findings
        except ValueError:
            continue  # a complaint about that verdict, not about a run
        for evidence in (one for finding in findings for one in finding.evidence):
            found.setdefault(evidence.path, []).append((path.stem, evidence.sha256))
    return found


def _changed(folder: Path, cited: Cited) -> Iterator[tuple[str, str]]:
    """Against the digests in the verdicts that rest on this run: run.json has none of its own."""
    for file in (folder / name for name in FILES):
        rests = cited.get(file.relative_to(folder.parent.parent).as_posix(), ())
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if rests else None
        for claim, expected in rests:
            if digest != expected:
                yield file.name, f"not what the verdict on {claim} rests on"
