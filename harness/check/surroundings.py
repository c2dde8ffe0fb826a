"""What a record is held against that lies outside of it.

Each thing is looked up once, however many records ask: ten thousand verdicts rest on a few
thousand files, and the runs of one session share one control.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from harness.errors import BadFile
from harness.judge import verdicts
from harness.run import gates, store
from harness.run.records import Gate, Run

CONTROL = "A/A control"


class Surroundings:
    """Of the records below `results`."""

    def __init__(self, results: Path) -> None:
        self._results = results.resolve()
        self._digests: dict[Path, str] = {}
        self._sessions: dict[Path, dict[str, list[tuple[Path, Run]]]] = {}
        self._controls: dict[tuple[Path, str], Gate] = {}

    @cached_property
    def cited(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """By path below the results: the claims whose verdicts rest on it, the digest in each."""
        found: dict[str, list[tuple[str, str]]] = {}
        for path in sorted(self._results.glob("verdicts/*/*.json")):
            try:
                findings = verdicts.parse(path.read_bytes()).findings
            except ValueError:
                continue  # a complaint about that verdict, not about a run
            for evidence in (one for finding in findings for one in finding.evidence):
                found.setdefault(evidence.path, []).append((path.stem, evidence.sha256))
        return found

    def digest(self, path: Path) -> str:
        """The sha256 of a file."""
        if path not in self._digests:
            self._digests[path] = sha256(path.read_bytes()).hexdigest()
        return self._digests[path]

    def control(self, machine: Path, session: str) -> Gate:
        """A session's A/A control, from its two arms. `machine`: the folder of its runs."""
        key = machine, session
        if key not in self._controls:
            self._controls[key] = self._control(machine, session)
        return self._controls[key]

    def _control(self, machine: Path, session: str) -> Gate:
        runs = self._session(machine, session)
        for folder, control in runs:
            for other, measured in runs:
                arms = (control.arm, measured.arm) == ("control", "measured")
                if arms and control.cell == measured.cell:
                    try:
                        mine, theirs = store.read_samples(other), store.read_samples(folder)
                    except BadFile as error:
                        return Gate(name=CONTROL, passed=None, detail=str(error))
                    return gates.control_gate(mine, theirs)
        return Gate(name=CONTROL, passed=None, detail="its two arms are not here")

    def _session(self, machine: Path, session: str) -> list[tuple[Path, Run]]:
        """The runs of a session, in the order of their names."""
        if machine not in self._sessions:
            found: dict[str, list[tuple[Path, Run]]] = {}
            for folder, run in _readable(machine):
                found.setdefault(run.session, []).append((folder, run))
            self._sessions[machine] = found
        return self._sessions[machine].get(session, [])


def _readable(machine: Path) -> Iterator[tuple[Path, Run]]:
    """The runs of a machine, but for those that can't be read: each is a complaint of its own."""
    for path in sorted(machine.glob("*/run.json")):
        try:
            yield path.parent, store.read_run(path.parent)
        except BadFile:
            continue
