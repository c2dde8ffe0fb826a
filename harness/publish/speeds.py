"""speeds.html: the rates of every model by runtime, in as many files as keep each below LIMIT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from harness.publish import template
from harness.publish.rates import RATES, Place, Rates
from harness.publish.split import LIMIT


@dataclass(frozen=True)
class Section:
    """The rates of one model on one machine at one shape, as they stand in `file`."""

    rates: Rates
    file: str
    anchor: str
    content: Markup

    @property
    def href(self) -> str:
        return f"{self.file}#{self.anchor}"


def sections(templates: jinja2.Environment, found: Sequence[Rates]) -> list[Section]:
    """In their order, as many to a file as fit."""
    made: list[Section] = []
    room = LIMIT - len(_page(templates, []))
    number, taken = 1, 0
    for at, rates in enumerate(found, 1):
        anchor = f"rates-{at}"
        figures = [rates.figure(metric, f"{anchor}-{metric}") for metric in RATES]
        around = {"rates": rates, "anchor": anchor, "figures": [one for one in figures if one]}
        content = template.render(templates, "rates.html", **around)
        if taken and taken + len(content) > room:
            number, taken = number + 1, 0
        taken += len(content)
        file = f"speeds.{number}.html" if number > 1 else "speeds.html"
        made.append(Section(rates, file, anchor, Markup(content.decode())))
    return made


def places(made: Sequence[Section]) -> dict[str, Place]:
    """Where the rates stand that a run is one of, by its folder's name below results/."""
    return {run: Place(one.rates, one.href) for one in made for run in one.rates.runs}


def files(templates: jinja2.Environment, made: Sequence[Section]) -> Mapping[str, bytes]:
    """The files by name in the site; none without sections."""
    names = dict.fromkeys(one.file for one in made)
    return {name: _page(templates, [one for one in made if one.file == name]) for name in names}


def _page(templates: jinja2.Environment, made: Sequence[Section]) -> bytes:
    return template.render(templates, "speeds.html", sections=made)
