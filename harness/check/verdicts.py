"""A stored verdict: its shape, claim and digests, its runs, and the judgement once more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from harness.ask.claims import Claim
from harness.ask.models import Model
from harness.ask.tasks import Task
from harness.check import problems, runs
from harness.check.problems import Problem
from harness.check.surroundings import Surroundings
from harness.errors import BadFile, HarnessError
from harness.judge import judge, reproductions
from harness.judge.reproductions import Reproduction
from harness.judge.verdicts import Evidence, Verdict, parse
from harness.run import upgrade


class Checker:
    """Checks the verdicts below `results` against claims, models and tasks of this checkout.

    `pages`: those whose verdicts will be asked for; they are then judged in one go.
    """

    def __init__(
        self,
        results: Path,
        claims: Mapping[str, Claim],
        models: Mapping[str, Model],
        tasks: Mapping[str, Task] | None = None,
        pages: Iterable[str] = (),
    ) -> None:
        self._results, self._claims = results.resolve(), claims
        self._models, self._tasks = models, tasks
        self._pages = frozenset(pages)
        self._derived: dict[str, dict[str, Verdict] | HarnessError] = {}
        self._runs: dict[Path, list[Problem]] = {}
        self._around = Surroundings(results)

    def run(self, folder: Path) -> list[Problem]:
        """What is wrong with a run. Looked at once, however many verdicts rest on it."""
        folder = folder.resolve()
        if folder not in self._runs:
            self._runs[folder] = runs.check(folder, self._around)
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
            elif self._around.digest(path) != one.sha256:
                yield one.path, "has another sha256"

    def _again(self, record: Verdict, stored: Any) -> Iterator[tuple[str, str]]:
        try:
            derived = self._judged(record.claim.page).get(record.claim.id)
        except HarnessError as error:
            yield "", f"cannot be judged again: {error}"
            return
        if derived:  # else the claim is unknown, and that has been said
            yield from problems.differences(stored, derived.model_dump(mode="json"))

    def _judged(self, page: str) -> dict[str, Verdict]:
        """All claims of a page, for they share one 5% (Holm), from every run that is here.

        At first together with the other pages that are to be checked: they may rest on the same
        runs. Where a damaged run stands in the way of that, page by page.
        """
        if not self._derived:
            self._judge(self._pages)
        if page not in self._derived:
            self._judge(frozenset([page]))
        found = self._derived[page]
        if isinstance(found, HarnessError):
            raise found
        return found

    def _judge(self, pages: frozenset[str]) -> None:
        claims = [one for one in self._claims.values() if one.page in pages]
        try:
            again = judge.judge(self._results, claims, self._models, self._tasks)
        except HarnessError as error:
            if len(pages) == 1:
                self._derived |= dict.fromkeys(pages, error)
            return
        for page in pages:
            self._derived[page] = {one.claim.id: one for one in again if one.claim.page == page}

    def reproduction(self, path: Path) -> list[Problem]:
        """What is wrong with the reproduction at `path`, its runs, and the comparison once more.

        Where the verdict was judged anew since, the figures it was compared with are gone.
        """
        name = "/".join(path.parts[-3:])
        try:
            problems.load(path.read_bytes())
            record = reproductions.read_file(path)
        except (ValueError, BadFile) as error:
            return [Problem(name, "schema", *one) for one in problems.complaints(error)]
        evidence = record.finding.evidence if record.finding else []
        found = [Problem(name, "evidence", *one) for one in self._digests(evidence)]
        folders = {(self._results / one.path).parent for one in evidence}
        for folder in sorted(one for one in folders if one.is_dir()):
            found += self.run(folder)
        if (record.page, record.claim) != (path.parts[-3], path.parts[-2]):
            found.append(Problem(name, "names", "claim", f"'{record.claim}' does not lie here"))
        if record.machine.id != path.stem:
            found.append(Problem(name, "names", "machine.id", f"'{record.machine.id}'"))
        return found + [Problem(name, "comparison", *one) for one in self._compared(record)]

    def _compared(self, record: Reproduction) -> Iterator[tuple[str, str]]:
        claim, here = self._claims.get(record.claim), record.finding
        if claim is None or claim.rule is None or here is None:
            return
        try:
            (again,) = judge.judge(self._results / "reproductions", [claim], self._models)
        except HarnessError as error:
            yield "", f"cannot be judged again: {error}"
            return
        mine = [one for one in again.findings if one.machine == here.machine]
        for finding in mine[:1]:
            ours = here.model_dump(mode="json", exclude={"evidence"})
            yield from problems.differences(
                {"finding": ours},
                {"finding": finding.model_dump(mode="json", exclude={"evidence"})},
            )
        path = self._results / "verdicts" / record.page / f"{record.claim}.json"
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != record.of.verdict_sha256:
            return
        for there in judge.read_file(path).findings:
            if there.machine == record.of.machine:
                derived = reproductions.answered(claim.rule, there, here)
                stored = (record.answer, record.reasons, record.difference)
                if stored != derived:
                    yield "answer", f"{record.answer} stored, {derived[0]} derived"
