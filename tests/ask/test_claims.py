"""Claims: quotes are the pages' own words, rules are complete, and what they need exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.ask import claims, models, pages
from harness.ask.claims import Claim, Rule, parse_bytes
from harness.ask.pages import Page
from harness.errors import BadFile, UnknownName
from harness.metrics import METRICS
from harness.plan.cells import cells_of
from harness.run.runtimes import RUNTIMES

ROOT = Path(__file__).parents[2]
CLAIMS = claims.load(ROOT / "claims")
PAGES = pages.load(ROOT / "pages")
MODELS = models.load(ROOT / "models.yaml")
RULED = [claim for claim in CLAIMS.values() if claim.rule]


def fields(page: Page, claim: Claim) -> list[str]:
    """What the claim's speaker says of its tool, field by field."""
    if claim.who != "blurb":
        return [r.text for r in page.reviews if (r.reviewer, r.tool) == (claim.who, claim.tool)]
    tool = next(tool for tool in page.tools if tool.name == claim.tool)
    return [tool.tagline, tool.description, f"{tool.panel.printed}\n{tool.panel.label}"]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_quote_is_what_its_speaker_says_of_its_tool(claim: Claim) -> None:
    page = PAGES[claim.page]
    assert claim.quote in page.text()
    assert any(claim.quote in field for field in fields(page, claim))


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_an_id_begins_with_its_page(claim: Claim) -> None:
    assert claim.id.startswith(f"{claim.page}-")


@pytest.mark.parametrize("claim", RULED, ids=lambda claim: claim.id)
def test_what_a_rule_needs_exists(claim: Claim) -> None:
    cells = cells_of(claim)
    assert cells
    for cell in cells:
        if cell.model:
            model = MODELS[cell.model]
            if cell.quantisation:
                artifact = model.artifact(cell.quantisation)
                assert cell.task is None or artifact.weights == "real"
            if cell.context:
                assert cell.context <= model.geometry.context
        if cell.task:
            assert (ROOT / "tasks" / f"{cell.task}.yaml").is_file()


@pytest.mark.parametrize("claim", RULED, ids=lambda claim: claim.id)
def test_a_rule_can_come_out_either_way(claim: Claim) -> None:
    """The threshold has the metric's type, and a bracket tests the length that it asks for."""
    rule = claim.rule
    assert rule is not None
    texts = METRICS[rule.metric].unit in ("name",)
    assert isinstance(rule.threshold, str) == texts
    assert isinstance(rule.threshold, bool) == (METRICS[rule.metric].unit == "yes or no")
    if METRICS[rule.metric].statistic == "bracket":
        assert rule.threshold in rule.conditions.contexts


def test_a_fact_that_a_rule_asks_for_is_known() -> None:
    for claim in RULED:
        if claim.rule and METRICS[claim.rule.metric].comes_from == "facts":
            model = MODELS[claim.model or ""]
            computed = claim.rule.metric in ("parameters", "context_window")
            assert claim.rule.metric in model.facts or computed


def test_planned_samples_are_enough_for_their_statistic() -> None:
    least = {"log_t": 3, "paired": 8, "slope": 3, "bracket": 3, "wilson": 100, "exact": 1}
    for claim in RULED:
        assert claim.rule is not None
        assert claim.rule.n >= least.get(METRICS[claim.rule.metric].statistic, 1), claim.id


def test_every_panel_score_of_a_page_is_asked() -> None:
    asked = {(c.page, c.tool) for c in RULED if c.kind == "panel score"}
    assert asked == {(p.id, t.name) for p in PAGES.values() if not p.own for t in p.tools}


def test_a_panel_rule_asks_for_the_printed_share() -> None:
    for claim in RULED:
        if claim.rule and claim.kind == "panel score":
            printed = claim.quote.split("%")[0]
            assert claim.rule.threshold == int(printed) / 100


def test_the_smoke_suite_leaves_the_heavy_models_out() -> None:
    chosen = claims.choose(CLAIMS, [], "smoke")
    cells = [cell for claim in chosen for cell in cells_of(claim)]
    assert not any(cell.quantisation == "Q8_0" for cell in cells)
    assert not any(cell.model == "llama-3.1-8b-instruct" for cell in cells)
    known = models.load(ROOT / "models.yaml")
    on_models = [cell for cell in cells if cell.model and cell.quantisation and cell.runtime]
    assert on_models
    for cell in on_models:
        formats = RUNTIMES[str(cell.runtime)].formats
        artifact = known[str(cell.model)].artifact(str(cell.quantisation), formats)
        assert artifact.source.kind != "hub", cell.name  # gigabytes


def test_choose_takes_pages_ids_and_suites() -> None:
    def chosen(names: list[str], suite: claims.Suite) -> set[str]:
        return {claim.id for claim in claims.choose(CLAIMS, names, suite)}

    assert chosen(["002-13"], "smoke") == {"002-13"}
    assert "002-13" not in chosen(["002"], "smoke")
    assert "002-13" in chosen(["002"], "laptop")
    assert chosen([], "full") == set(CLAIMS)
    assert all(name.startswith("smoke-") for name in chosen(["smoke"], "full"))


@pytest.mark.parametrize(
    ("name", "near"), [("02", "002"), ("smok", "smoke"), ("smoke-toolz", "smoke-tools")]
)
def test_choose_offers_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown page or claim '{name}': did you mean .*{near}"):
        claims.choose(CLAIMS, [name], "smoke")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4GiB", 4 << 30),
        ("512 MiB", 512 << 20),
        ("1.5KiB", 1536),
        (4096, 4096),
        ("4GB", "4GB"),
        ("-1GiB", "-1GiB"),
        ("GiB", "GiB"),
    ],
)
def test_sizes_are_binary_or_left_to_be_refused(text: object, value: object) -> None:
    assert parse_bytes(text) == value


GOOD = """\
page: smoke
claims:
- id: a
  tool: t
  who: blurb
  quote: q
  kind: latency
  reading: r
  model: m
  rule:
    metric: decode_rate
    op: ">="
    threshold: 5
    why: w
    n: 5
    conditions: {quantisation: Q4_0}
"""

_RULE = GOOD[GOOD.index("decode_rate") :]
BAD = {
    "unknown metric": ("decode_rate", "decode_rat", r":11: .*metric: .*did you mean decode_rate"),
    "unknown field": ("  who: ", "  woh: ", r":5: claims\.0\.woh: "),
    "missing field": ("  tool: t\n", "", r":3: claims\.0\.tool: Field required"),
    "bad type": ("n: 5", "n: five", r":15: claims\.0\.rule\.n: "),
    "no samples": ("n: 5", "n: 0", r":15: claims\.0\.rule\.n: "),
    "tab": ("  tool: t", "\ttool: t", r":4: "),
    "unknown kind": ("kind: latency", "kind: speed", r":7: claims\.0\.kind: "),
    "unknown suite": ("  model: m", "  model: m\n  suite: tiny", r":10: claims\.0\.suite: "),
    "capital id": ("id: a", "id: A", r":3: claims\.0\.id: "),
    "no op": ('op: ">="', 'op: ">"', r":12: claims\.0\.rule\.op: "),
    "same without margin": ('op: ">="', "op: same", "'same' needs a margin"),
    "margin without same": ("n: 5", "n: 5\n    margin: 0.1", "nothing else takes one"),
    "no quantisation": ("{quantisation: Q4_0}", "{}", "needs conditions.quantisation"),
    "task of no task": ("Q4_0}", "Q4_0, task: x}", "is for metrics of a task"),
    "pair of no pair": ("Q4_0}", "Q4_0, against: [x, y]}", "for metrics on a pair"),
    "decimal gigabytes": ("Q4_0}", "Q4_0, memory_limit: 4GB}", r"memory_limit: "),
    "cap missing": ("decode_rate", "largest_context", "needs conditions.memory_limit"),
    "one context": ("decode_rate", "kv_bytes_per_token", "needs two contexts or more"),
    "page cache missing": ("decode_rate", "load_time", "load_time needs it"),
    "tail of too few tokens": (
        "decode_rate",
        "inter_token_p99",
        "inter_token_p99 needs conditions.new_tokens above 662",
    ),
    "new tokens where nothing is timed": (
        _RULE,
        _RULE.replace("decode_rate", "anonymous_peak").replace("Q4_0", "Q4_0, new_tokens: 9"),
        "are for timed metrics",
    ),
    "model missing": ("  model: m\n", "", "a rule on a model needs 'model'"),
    "rule and reason": ("  model: m", "  model: m\n  untestable: u", "either a rule or the reason"),
}


def written(tmp_path: Path, text: str, name: str = "x.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path


def test_a_good_claim_is_read(tmp_path: Path) -> None:
    claim = claims.load(written(tmp_path, GOOD))["a"]
    assert claim.page == "smoke"
    assert claim.suite == "smoke"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_claim_is_named(tmp_path: Path, case: str) -> None:
    old, new, expected = BAD[case]
    assert old in GOOD
    with pytest.raises(BadFile, match=rf"(?s)x\.yaml:\d+: .*{expected}|x\.yaml{expected}"):
        claims.load(written(tmp_path, GOOD.replace(old, new, 1)))


def test_neither_rule_nor_reason_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="either a rule or the reason"):
        claims.load(written(tmp_path, GOOD[: GOOD.index("  rule:")]))


def test_two_claims_with_one_id_are_refused(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "a.yaml")
    with pytest.raises(BadFile, match=r"b\.yaml: id: 'a' is taken by another claim"):
        claims.load(written(tmp_path, GOOD, "b.yaml"))


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"metric": "decode_rate", "op": "==", "threshold": 20}, "use 'same'"),
        ({"metric": "decode_rate", "op": ">=", "threshold": "fast"}, "is a number"),
        ({"metric": "decode_rate", "op": ">=", "threshold": True}, "is a number"),
        (
            {
                "metric": "anonymous_peak",
                "op": "<=",
                "threshold": 1,
                "conditions": {"quantisation": "Q4_0", "contexts": [2048, 4096]},
            },
            "at one context",
        ),
    ],
)
def test_a_rule_that_no_sample_can_meet_is_refused(rule: dict[str, Any], complaint: str) -> None:
    whole = {"why": "why", "n": 3, "conditions": {"quantisation": "Q4_0"}} | rule
    with pytest.raises(ValidationError, match=complaint):
        Rule.model_validate(whole)
