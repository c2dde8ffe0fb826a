"""All claims by model, with filters by verdict, model, kind and machine that need no script.

A filter is a list box. For each of its choices the style hides the rows that lack the choice's
class while it is chosen, so several filters together leave the rows that have all. Rows are in
files of at most ROWS, and a filter covers the rows of its file. A browser without `:has()` shows
all rows and no filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

import jinja2

from harness.judge.verdicts import Outcome
from harness.publish import template
from harness.publish.view import ClaimView, PageView
from harness.publish.words import OUTCOMES, OutcomeWords

ROWS = 250
NOT_MEASURED = "Not measured"
_HIDES = "main:has(option[value={0}]:checked) .row:not(.{0}) {{ display: none; }}\n"


@dataclass(frozen=True)
class Choice:
    """One choice of a filter; `name` is the class of the rows that have it."""

    name: str
    label: str


@dataclass(frozen=True)
class Filter:
    """A list box."""

    name: str
    label: str
    choices: list[Choice]


@dataclass(frozen=True)
class Row:
    """A claim, where its evidence is, and the classes of its choices."""

    view: ClaimView
    page: str
    href: str
    machines: list[str]
    classes: list[str]


@dataclass(frozen=True)
class Model:
    """The claims on one model. `classes`: of any of them."""

    label: str
    anchor: str
    href: str
    counts: list[tuple[OutcomeWords, int]]
    rows: list[Row]
    classes: list[str]


@dataclass(frozen=True)
class Finder:
    """All rows by model, in files, and the filters over them."""

    files: dict[str, list[Model]]
    filters: list[Filter]

    @property
    def models(self) -> list[Model]:
        """Each model once, as its first file has it."""
        every = [model for models in self.files.values() for model in models]
        return list({model.anchor: model for model in reversed(every)}.values())[::-1]


def find(pages: list[PageView]) -> Finder:
    """The claims of all pages."""
    shown = [(view, page) for page in pages for view in page.claims]
    labels = _labels([view for view, _ in shown])
    shown.sort(key=lambda one: (not one[0].claim.model, labels[_about(one[0])].lower()))
    filters = [
        _filter("outcome", "Verdict", (OUTCOMES[view.outcome.name].word for view, _ in shown)),
        _filter("model", "Model", (labels[_about(view)] for view, _ in shown)),
        _filter("kind", "Kind of claim", sorted(view.claim.kind for view, _ in shown)),
        _filter("machine", "Machine", (one for view, _ in shown for one in _machines(view))),
    ]
    names = [{choice.label: choice.name for choice in one.choices} for one in filters]
    rows = [_row(view, page, labels[_about(view)], names) for view, page in shown]
    number = Counter((row.classes[1], row.view.outcome.name) for row in rows)
    files = {}
    for at in range(0, max(len(rows), 1), ROWS):
        file = f"find.{at // ROWS + 1}.html" if at else "find.html"
        files[file] = _models(rows[at : at + ROWS], file, number, filters[1])
    return Finder(files, filters)


def render(templates: jinja2.Environment, found: Finder) -> dict[str, bytes]:
    """The files of the finder by name in the site."""
    rules = "".join(_HIDES.format(one.name) for part in found.filters for one in part.choices)
    styled = template.styled(template.text("style.css") + rules)
    return {
        file: template.render(
            templates, "find.html", found=found, file=file, models=models, **styled
        )
        for file, models in found.files.items()
    }


def _about(view: ClaimView) -> str:
    """The model that a claim is about; of a hosted model or a price, the tool's name."""
    return view.claim.model or view.claim.tool


def _labels(views: list[ClaimView]) -> dict[str, str]:
    """Models by their checkpoint, where any verdict names it."""
    labels = {_about(view): _about(view) for view in views}
    return labels | {one.claim.model: one.model for one in views if one.claim.model and one.model}


def _machines(view: ClaimView) -> list[str]:
    return list(dict.fromkeys(one.machine for one in view.findings)) or [NOT_MEASURED]


def _filter(name: str, label: str, labels: Iterable[str]) -> Filter:
    found = dict.fromkeys(labels)
    return Filter(name, label, [Choice(f"{name}-{at}", one) for at, one in enumerate(found, 1)])


def _row(view: ClaimView, page: PageView, model: str, names: list[dict[str, str]]) -> Row:
    outcomes, models, kinds, machines = names
    on = _machines(view)
    classes = [outcomes[view.outcome.word], models[model], kinds[view.claim.kind]]
    classes += [machines[one] for one in on]
    href = f"{view.file}#{view.anchor}"
    return Row(view, page.page.title, href, on, classes)


def _models(
    rows: list[Row], file: str, number: Mapping[tuple[str, Outcome], int], filter: Filter
) -> list[Model]:
    """The rows of one file by model; `number` counts verdicts over all files."""
    labels = {choice.name: choice.label for choice in filter.choices}
    models = []
    for name, members in groupby(rows, key=lambda row: row.classes[1]):
        mine = list(members)
        counts = [(one, number[name, key]) for key, one in OUTCOMES.items() if number[name, key]]
        classes = list(dict.fromkeys(one for row in mine for one in row.classes))
        models.append(Model(labels[name], name, f"{file}#{name}", counts, mine, classes))
    return models
