"""Verdicts as what a template prints: plain strings, already in the reader's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from harness.ask.claims import Claim
from harness.ask.pages import Page
from harness.judge.reproductions import Reproduction
from harness.judge.verdicts import Finding, Verdict
from harness.metric import Metric
from harness.metrics import METRICS
from harness.publish import community, figures, marks, rates, words
from harness.publish.exports import claim_review
from harness.publish.figures import Table
from harness.publish.rates import Beside, Place
from harness.publish.words import OUTCOMES, OutcomeWords
from harness.run.records import Gate, Machine


@dataclass(frozen=True)
class EvidenceFile:
    """A raw record: its path below results/ and below the site."""

    path: str
    href: str
    sha256: str


@dataclass(frozen=True)
class FindingView:
    """One machine's row."""

    machine: str
    outcome: OutcomeWords
    reason: str
    figure: str
    spread: str
    p_value: str | None
    synthetic: str | None
    iso_day: str | None
    day: str | None
    conditions: list[tuple[str, str]]
    failed_gates: list[Gate]
    other_gates: list[Gate]
    warnings: list[str]
    table: Table | None
    chart: Markup | None
    beside: Beside | None
    evidence: list[EvidenceFile]


@dataclass(frozen=True)
class ClaimView:
    """One claim with its verdict. `short` is the quote on one line.

    `file` of the site has the evidence, at `anchor`; `href` leads there from the page's words.
    """

    claim: Claim
    file: str
    anchor: str
    href: str
    short: str
    by: str
    outcome: OutcomeWords
    reason: str
    would_change: str
    rule: str | None
    why: str | None
    model: str | None
    note: str | None
    metric: str | None
    definition: str | None
    misses: str | None
    findings: list[FindingView]
    command: str | None
    record: str
    placed: bool
    due: str | None
    community: str | None
    repetitions: list[str]


@dataclass(frozen=True)
class Group:
    """The claims that answer one of the reader's questions."""

    question: str
    claims: list[ClaimView]


@dataclass(frozen=True)
class PageView:
    """Everything on one page. `claims` are in the order of `groups`."""

    page: Page
    text: dict[str, list[marks.Piece]]
    by_claim: dict[str, ClaimView]
    verdicts: dict[str, Verdict]
    counts: list[tuple[OutcomeWords, int]]
    groups: list[Group]
    speeds: list[tuple[Table, Markup]]
    verbatim: bool | None
    source_href: str | None
    reviews: Markup | None
    community: str | None
    split: bool = False
    """Whether the claims are in other files than this one. See `harness.publish.split`."""

    @property
    def claims(self) -> list[ClaimView]:
        return [claim for group in self.groups for claim in group.claims]


def page(
    found: Page,
    verdicts: list[Verdict],
    machines: dict[str, Machine],
    repeated: Mapping[str, list[Reproduction]],
    places: Mapping[str, Place],
) -> PageView:
    """The view of one page and its verdicts. `places`: of the rates that runs are among."""
    marked = marks.mark(found, [verdict.claim for verdict in verdicts])
    views = [
        claim(one, machines, repeated[one.claim.id], one.claim.id not in marked.unplaced, places)
        for one in verdicts
    ]
    groups = [
        Group(question, [view for view in views if view.claim.kind in kinds])
        for question, kinds in words.QUESTIONS
    ]
    return PageView(
        page=found,
        text=marked.fields,
        by_claim={view.claim.id: view for view in views},
        verdicts={verdict.claim.id: verdict for verdict in verdicts},
        counts=counts(verdicts),
        groups=[group for group in groups if group.claims],
        speeds=figures.speeds(verdicts, machines),
        verbatim=found.is_verbatim(),
        source_href=found.source if found.source.startswith(("https://", "http://")) else None,
        reviews=claim_review.script(found, verdicts, f"{found.id}.html"),
        community=community.sentence(
            [again for one in verdicts for again in repeated[one.claim.id]]
        ),
    )


def counts(verdicts: list[Verdict]) -> list[tuple[OutcomeWords, int]]:
    """How many claims have each verdict, without those that none has."""
    number = Counter(verdict.outcome for verdict in verdicts)
    return [(outcome, number[name]) for name, outcome in OUTCOMES.items() if number[name]]


def claim(
    verdict: Verdict,
    machines: dict[str, Machine],
    repeated: list[Reproduction],
    placed: bool = True,
    places: Mapping[str, Place] | None = None,
) -> ClaimView:
    """The view of one verdict. `placed`: the quote was found in the page's text.

    Without `places` it is for a page of somebody else's, and has no charts.
    """
    found, rule, subject = verdict.claim, verdict.rule, verdict.subject
    metric = METRICS[rule.metric] if rule else None
    return ClaimView(
        claim=found,
        file=f"{found.page}.html",
        anchor=f"claim-{found.id}",
        href=f"#claim-{found.id}",
        short=" ".join(found.quote.split()),
        by=f"{found.who[:1].upper()}{found.who[1:]} · about {found.tool}",
        outcome=OUTCOMES[verdict.outcome],
        reason=verdict.reason,
        would_change=verdict.would_change,
        rule=words.rule(rule) if rule else None,
        why=rule.why if rule else None,
        model=subject.checkpoint if subject else None,
        note=(subject.note or None) if subject else None,
        metric=metric.label if metric else None,
        definition=verdict.metric_definition,
        misses=verdict.misses,
        findings=_findings(verdict, machines, places),
        command=verdict.command,
        record=f"verdicts/{found.id}.json",
        placed=placed,
        due=words.day(found.due) if found.due else None,
        community=community.of_claim(repeated),
        repetitions=[f"reproductions/{found.id}-{at}.json" for at in range(1, len(repeated) + 1)],
    )


def _findings(
    verdict: Verdict, machines: dict[str, Machine], places: Mapping[str, Place] | None
) -> list[FindingView]:
    if verdict.rule is None:
        return []
    metric, name = METRICS[verdict.rule.metric], f"chart-{verdict.claim.id}"
    return [
        _finding(verdict, one, metric, machines, f"{name}-{at}", places)
        for at, one in enumerate(verdict.findings, 1)
    ]


def _finding(
    verdict: Verdict,
    found: Finding,
    metric: Metric,
    machines: dict[str, Machine],
    name: str,
    places: Mapping[str, Place] | None,
) -> FindingView:
    figure, spread = words.figure(metric, found)
    p_value = None if found.p_value is None else f"{found.p_value:.3g}"
    return FindingView(
        machine=words.machine_of(found, machines),
        outcome=OUTCOMES[found.outcome],
        reason=found.reason,
        figure=figure,
        spread=spread,
        p_value=p_value,
        synthetic=words.SYNTHETIC if found.weights == "synthetic" else None,
        iso_day=found.measured if words.is_day(found.measured) else None,
        day=words.day(found.measured) if found.measured else None,
        conditions=words.conditions(verdict, found),
        failed_gates=[gate for gate in found.gates if gate.passed is False],
        other_gates=[gate for gate in found.gates if gate.passed is not False],
        warnings=found.warnings,
        table=figures.table(verdict, found),
        chart=None if places is None else figures.chart(verdict, found, name),
        beside=_beside(found, metric, name, places or {}),
        evidence=[
            EvidenceFile(one.path, f"records/{one.path}", one.sha256) for one in found.evidence
        ],
    )


def _beside(
    found: Finding, metric: Metric, name: str, places: Mapping[str, Place]
) -> Beside | None:
    """Where the finding's run is one of several that time its model."""
    runs = [one.path.rpartition("/")[0] for one in found.evidence]
    place = next((places[run] for run in runs if run in places), None)
    return rates.beside(place, metric.name, f"{name}-beside") if place else None
