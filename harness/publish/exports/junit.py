"""JUnit XML, so that a build shows claims as tests: refuted fails, inconclusive is an error.

Not tested and not testable are skipped, with the reason. There is no time: a verdict has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree as Xml

from harness.judge.verdicts import Outcome, Verdict
from harness.publish.exports import figures

_RESULTS: dict[Outcome, str] = {
    "refuted": "failure",
    "inconclusive": "error",
    "not_tested": "skipped",
    "not_testable": "skipped",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    suites = Xml.Element("testsuites", {"name": "claims", **_counts(verdicts)})
    for page, found in groupby(verdicts, key=lambda one: one.claim.page):
        members = list(found)
        suite = Xml.SubElement(suites, "testsuite", {"name": _legal(page), **_counts(members)})
        for verdict in members:
            suite.append(_case(verdict))
    Xml.indent(suites)
    body: bytes = Xml.tostring(suites, encoding="utf-8", xml_declaration=True)
    return {"junit.xml": body + b"\n"}


def _counts(verdicts: Sequence[Verdict]) -> dict[str, str]:
    results = [_RESULTS.get(one.outcome) for one in verdicts]
    names = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {name: str(results.count(result)) for name, result in names.items()}
    return {"tests": str(len(verdicts)), **counts}


def _case(verdict: Verdict) -> Xml.Element:
    claim = verdict.claim
    quote = " ".join(claim.quote.split())
    case = Xml.Element(
        "testcase", classname=_legal(claim.page), name=_legal(f"{claim.id}: {quote}")
    )
    found: list[tuple[str, str]] = [("outcome", verdict.outcome)]
    for row in figures.rows(verdict):
        found += [(name, value) for name, value in row.items() if value and name in _PROPERTIES]
    properties = Xml.SubElement(case, "properties")
    for name, value in found:
        Xml.SubElement(properties, "property", name=name, value=_legal(value))
    if result := _RESULTS.get(verdict.outcome):
        Xml.SubElement(case, result, message=_legal(verdict.reason))
    return case


_PROPERTIES = ("metric", "estimate", "low", "high", "level", "n", "machine", "weights", "measured")


def _legal(text: str) -> str:
    """XML has no way to hold most control characters."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
