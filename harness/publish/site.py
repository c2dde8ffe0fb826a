"""Writes the site: pages with their evidence, verdicts as JSON, and the raw records they rest on.

A function of its inputs: no clock, no network, nothing that a browser runs in what it writes.
Whatever a page, a model or a record says is escaped text. Evidence is copied only if it has the
digest its verdict names, and only if it is a kind of file that a browser does not run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from harness.ask.pages import Page
from harness.errors import BadFile, UnknownName
from harness.judge import reproductions
from harness.judge.reproductions import Reproduction
from harness.judge.verdicts import Evidence, Verdict, parse
from harness.publish import (
    along,
    counts,
    exports,
    finder,
    folder,
    rates,
    speeds,
    split,
    template,
    view,
    words,
)
from harness.publish.along import RunView
from harness.publish.attach.fragments import Fragments
from harness.publish.rates import Rates
from harness.run import store
from harness.run.records import Machine, Run

_OWN = ("index", "curves", "find", "speeds")
_RECORDS = {".json", ".jsonl", ".txt", ".log", ".gz"}


def publish(
    pages: dict[str, Page],
    verdicts: list[Verdict],
    machines: list[Machine],
    results: Path,
    out: Path,
    runs: Iterable[tuple[Path, Run]] = (),
) -> list[Path]:
    """Writes the site of `pages` into `out` and returns its files. See `folder.replace`.

    Those of `runs` that lie along a facet get a page of their own, those that time models another.
    Raises UnknownName, BadFile where a stored record is missing or not what a verdict rests on,
    UserError where `out` holds other files.
    """
    _check(pages, verdicts)
    return folder.replace(out, _files(pages, verdicts, machines, results, runs))


def _files(
    pages: dict[str, Page],
    verdicts: list[Verdict],
    machines: list[Machine],
    results: Path,
    runs: Iterable[tuple[Path, Run]],
) -> Iterator[tuple[str, bytes]]:
    """By name, one at a time: the records alone may be larger than the memory."""
    known = {machine.id: machine for machine in machines}
    yield from _records(verdicts, results)
    repeated = {one.claim.id: _repeated(one, results) for one in verdicts}
    yield from _repetitions(repeated)
    by_page: dict[str, list[Verdict]] = {name: [] for name in pages}
    for verdict in verdicts:
        by_page[verdict.claim.page].append(verdict)
    templates, views, stored = template.environment(), [], list(runs)
    timed = speeds.sections(templates, rates.gather(stored, known))
    curves = along.views(stored, known)
    templates.globals["drawn"] = {path: one.anchor for one in curves for path in one.evidence[:1]}
    places = speeds.places(timed)
    for name, page in pages.items():
        shown = view.page(page, by_page[name], known, repeated, places)
        views.append((yield from split.files(templates, shown)))
    yield from _shown_records([*curves, *(one.rates for one in timed)], results)
    yield from speeds.files(templates, timed).items()
    if curves:
        yield "curves.html", template.render(templates, "curves.html", runs=curves)
    finding = finder.find(views)
    yield from finder.render(templates, finding).items()
    listed = {"pages": views, "models": finding.models, "machines": machines}
    kinds = counts.by_kind((one.claim.kind, one.outcome) for one in verdicts)
    listed |= {"runs": curves, "speeds": timed, "kinds": kinds}
    yield "index.html", template.render(templates, "index.html", **listed)
    yield "index.json", _index(verdicts, known)
    yield from exports.files(verdicts).items()
    claims = (claim for shown in views for claim in shown.claims)
    yield from Fragments(claims, "../").files().items()


def _check(pages: dict[str, Page], verdicts: list[Verdict]) -> None:
    for name, page in pages.items():
        safe = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) and name.lower() not in _OWN
        if not safe or page.id != name:
            raise BadFile(f"page '{name}': this id cannot name a file of the site")
    for verdict in verdicts:
        if verdict.claim.page not in pages:
            raise UnknownName("page", verdict.claim.page, pages)


def _index(verdicts: list[Verdict], machines: dict[str, Machine]) -> bytes:
    rows = [
        {
            "claim": verdict.claim.id,
            "page": verdict.claim.page,
            "quote": verdict.claim.quote,
            "outcome": verdict.outcome,
            "estimate": words.headline(verdict, machines),
            "path": f"verdicts/{verdict.claim.id}.json",
        }
        for verdict in verdicts
    ]
    return (json.dumps(rows, indent=2) + "\n").encode()


def _records(verdicts: list[Verdict], results: Path) -> Iterator[tuple[str, bytes]]:
    """The stored verdicts and their evidence by name in the site, each record once."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for verdict in verdicts:
        claim = verdict.claim
        if claim.id in names:
            raise BadFile(f"two verdicts on claim '{claim.id}'")
        names.add(claim.id)
        path = results / "verdicts" / claim.page / f"{claim.id}.json"
        yield f"verdicts/{claim.id}.json", _stored(verdict, path)
        for one in (one for finding in verdict.findings for one in finding.evidence):
            if (one.path, one.sha256) not in seen:
                seen.add((one.path, one.sha256))
                yield f"records/{one.path}", _evidence(one, claim.id, results)


def _shown_records(shown: Iterable[RunView | Rates], results: Path) -> Iterator[tuple[str, bytes]]:
    for one in shown:
        for path in one.evidence:
            yield f"records/{path}", _record(path, f"charts of {one.model}", results)


def _repetitions(repeated: dict[str, list[Reproduction]]) -> Iterator[tuple[str, bytes]]:
    for name, found in repeated.items():
        for at, one in enumerate(found, 1):
            yield f"reproductions/{name}-{at}.json", store.to_json(one)


def _repeated(verdict: Verdict, results: Path) -> list[Reproduction]:
    return reproductions.read(results, verdict.claim.page, verdict.claim.id)


def _stored(verdict: Verdict, path: Path) -> bytes:
    try:
        content = path.read_bytes()
        same = parse(content) == verdict
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}; run harness judge") from error
    except ValueError as error:
        raise BadFile(f"{path}: not a verdict record; run harness judge") from error
    if not same:
        raise BadFile(f"{path}: holds another verdict than the one published; run harness judge")
    return content


def _evidence(found: Evidence, claim: str, results: Path) -> bytes:
    """The bytes of one record, with the digest of the verdict."""
    content = _record(found.path, f"claim '{claim}'", results)
    if hashlib.sha256(content).hexdigest() != found.sha256:
        raise BadFile(
            f"{found.path}: has changed since claim '{claim}' was judged; run harness judge"
        )
    return content


def _record(name: str, of: str, results: Path) -> bytes:
    """The bytes of a plain file below `results`, of a kind that a browser does not run."""
    pure = PurePosixPath(name)
    names = re.fullmatch(r"[A-Za-z0-9._@+=-]+(/[A-Za-z0-9._@+=-]+)*", name)
    if not names or ".." in pure.parts or pure.suffix not in _RECORDS:
        raise BadFile(f"{of}: evidence '{name}' is no path of a record")
    path = (results / pure).resolve()
    if not path.is_relative_to(results.resolve()):
        raise BadFile(f"{of}: evidence '{name}' lies outside the results")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
