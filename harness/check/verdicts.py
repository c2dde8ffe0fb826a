"""A stored verdict: its shape, claim and digests, its runs, and the judgement once more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.ask.claims import Claim
from harness.ask.models import Model
from harness.check import problems, runs
from harness.check.problems import Problem
from harness.errors import BadFile, HarnessError
from harness.judge import judge
from harness.judge.verdicts import Evidence, Verdict, parse
from harness.run import upgrade


class Checker:
    """Checks the verdicts below `results` against the claims and models of this checkout."""

    def __init__(
        self, results: Path, claims: Mapping[str, Claim], models: Mapping[str, Model]
    ) -> None:
        self._results, self._claims, self._models = results.resolve(), claims, models
        self._pages: dict[str, dict[str, Verdict]] = {}
        self._runs: dict[Path, list[Problem]] = {}

    def run(self, folder: Path) -> list[Problem]:
        """What is wrong with a run. Looked at once, however many verdicts rest on it."""
        folder = folder.resolve()
        if folder not in self._runs:
            self._runs[folder] = runs.check(folder)
        return self._runs[folder]

    def verdict(self, path: Path) -> list[Problem]:
        """What is wrong with the verdict at `path` and the runs that it rests on."""
        name = f"{path.parent.name}/{path.name}"
        try:
            stored = upgrade.verdict(problems.load(path.read_bytes()))
            record = parse(path.read_bytes())
        except ValueError as error:
            return [Problem(name, "schema", *one) for one in problems.complaints(error)]
        found = [Problem(name, "claim", *one) for one in self._claim(record, path)]
        evidence = [one for finding in record.findings for one in finding.evidence]
        found += [Problem(name, "evidence", *one) for one in self._digests(evidence)]
        folders = {(self._results / one.path).parent for one in evidence}
        for folder in sorted(one for one in folders if one.is_dir()):
            found += self.run(folder)
        return found + [Problem(name, "judgement", *one) for one in self._again(record, stored)]

    def _claim(self, record: Verdict, path: Path) -> Iterator[tuple[str, str]]:
        """The claim is the one of claims/: no rule may be changed after the measurement."""
        claim = record.claim
        if (claim.page, claim.id) != (path.parent.name, path.stem):
            yield "claim.id", f"'{claim.id}' of page '{claim.page}' does not lie here"
        if record.rule != claim.rule:
            yield "rule", "not the rule of its claim"
        if claim.id not in self._claims:
            yield "claim.id", f"claims/ has no '{claim.id}'"
        else:
            known = self._claims[claim.id].model_dump(mode="json")
            yield from problems.differences(
                {"claim": claim.model_dump(mode="json")}, {"claim": known}
            )

    def _digests(self, evidence: list[Evidence]) -> Iterator[tuple[str, str]]:
        for one in evidence:
            pure, path = PurePosixPath(one.path), (self._results / one.path).resolve()
            if ".." in pure.parts or not path.is_relative_to(self._results):
                yield one.path, "lies outside the results"
            elif not path.is_file():
                yield one.path, "is not here"
            elif hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
                yield one.path, "has another sha256"

    def _again(self, record: Verdict, stored: Any) -> Iterator[tuple[str, str]]:
        try:
            derived = self._derived(record.claim.page).get(record.claim.id)
        except HarnessError as error:
            yield "", f"cannot be judged again: {error}"
            return
        if derived:  # else the claim is unknown, and that has been said
            yield from problems.differences(stored, derived.model_dump(mode="json"))

    def _derived(self, page: str) -> dict[str, Verdict]:
        """All claims of a page, for they share one 5% (Holm), from every run that is here."""
        if page not in self._pages:
            claims = [one for one in self._claims.values() if one.page == page]
            again = judge.judge(self._results, claims, self._models)
            self._pages[page] = {one.claim.id: one for one in again}
        return self._pages[page]


def records(path: Path) -> tuple[Path, list[Path], list[Path]]:
    """The results folder that `path` lies in, and the verdicts and runs that it names.

    `path`: a verdict, a run's folder or a file of it, or a folder with any of them below.
    Raises BadFile.
    """
    if not path.exists():
        raise BadFile(f"{path}: no such file")
    path = path.resolve()
    if path.is_file() and path.name not in runs.FILES:
        found, folders = [path], []
    else:
        below = path.parent if path.is_file() else path
        folders = sorted(one.parent for one in below.rglob("run.json") if not _hidden(one, below))
        found = sorted(one for one in below.rglob("*.json") if one.parents[1].name == "verdicts")
    places = {one.parents[2] for one in found} | {one.parents[1] for one in folders}
    if len(places) != 1 or any(one.parents[1].name != "verdicts" for one in found):
        raise BadFile(
            f"{path}: no record; they are results/verdicts/PAGE/CLAIM.json and results/MACHINE/RUN/"
        )
    return places.pop(), found, folders


def _hidden(path: Path, below: Path) -> bool:
    """A run under way."""
    return any(part.startswith(".") for part in path.relative_to(below).parts)
