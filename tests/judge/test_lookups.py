"""What is looked up and not measured: prices with source and day, code that a page recommends."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import judge_records as records
import pytest

from harness.ask import calls, claims, prices
from harness.ask.calls import Call
from harness.ask.claims import Rule
from harness.errors import BadFile
from harness.judge import judge
from harness.judge.verdicts import Finding
from harness.metrics import METRICS
from harness.plan.cells import cells_of
from harness.plan.planner import Planner, key
from harness.run.protocol import Request
from harness.run.records import Fact, FactsData
from harness.run.workloads import calls as calls_workload
from harness.run.workloads import prices as prices_workload

ROOT = Path(__file__).parents[2]
CLAIMS = claims.load(ROOT / "claims")
NOBODY: Any = None


def listed(**services: tuple[float, float]) -> FactsData:
    facts = [
        Fact(name=f"{name}/{what}", value=price, origin="published document", source="a list")
        for name, pair in services.items()
        for what, price in zip(("input_price", "output_price"), pair, strict=True)
    ]
    return FactsData(facts=facts)


def judged(tmp_path: Path, data: FactsData, op: str, threshold: Any, **more: Any) -> Finding:
    metric = "works" if "call" in more else "price_ratio"
    claim = records.claim(metric, op, threshold, n=1, **more)
    records.run_all(tmp_path, claim, [data])
    (finding,) = judge.judge(tmp_path, [claim], {})[0].findings
    return finding


@pytest.mark.parametrize(
    ("op", "threshold", "margin", "outcome"),
    [
        ("<=", 0.7, None, "supported"),  # 0.2 to 0.5
        ("<=", 0.5, None, "supported"),
        ("<=", 0.3, None, "inconclusive"),  # it depends on the mix of input and output
        (">=", 1, None, "refuted"),
        ("same", 0.5, 0.2, "inconclusive"),
        ("same", 0.9, 0.2, "refuted"),
    ],
)
def test_a_price_ratio_holds_for_every_mix_of_input_and_output(
    op: str, threshold: float, margin: float | None, outcome: str, tmp_path: Path
) -> None:
    data = listed(small=(1.0, 2.0), large=(5.0, 4.0))
    found = judged(tmp_path, data, op, threshold, margin=margin, services=["small", "large"])
    assert (found.outcome, found.estimate, found.n) == (outcome, None, 1)
    assert found.interval and (found.interval.low, found.interval.high) == (0.2, 0.5)
    assert [point.value for point in found.series] == [0.2, 0.5]
    assert "a list" in found.reason


def test_a_price_that_no_source_gives_decides_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path, listed(small=(1.0, 2.0)), "<=", 1, services=["small", "large"])
    assert (found.outcome, found.reason) == ("inconclusive", "no source gives both prices")


@pytest.mark.parametrize(("works", "outcome"), [(True, "supported"), (False, "refuted")])
def test_a_call_is_told_with_what_it_said(works: bool, outcome: str, tmp_path: Path) -> None:
    fact = Fact(name="an-import", value=works, origin="tried here", source="`x` says: y")
    other = fact.model_copy(update={"name": "another", "value": not works})
    data = FactsData(facts=[other, fact])
    found = judged(tmp_path, data, "==", True, call="an-import")
    assert (found.outcome, found.machine) == (outcome, None)
    assert found.reason == "tried here: `x` says: y"


def test_a_later_run_without_the_library_takes_nothing_back(tmp_path: Path) -> None:
    claim = records.claim("works", "==", True, n=1, call="an-import")
    (cell,) = cells_of(claim)
    fact = Fact(name="an-import", value=True, origin="tried here", source="`x` says: y")
    records.write(tmp_path, cell, [FactsData(facts=[fact])], started="01")
    records.write(tmp_path, cell, [FactsData(facts=[])], started="02", machine="board")
    (verdict,) = judge.judge(tmp_path, [claim], {})
    assert verdict.outcome == "supported"


def tried(monkeypatch: pytest.MonkeyPatch, code: str, *needs: str) -> list[dict[str, Any]]:
    known = {"it": Call(code=code, needs=list(needs or ["pytest"]))}
    monkeypatch.setattr(calls, "load", lambda: known)
    (data,) = calls_workload.measure(Request(workload="calls"), NOBODY)
    found: list[dict[str, Any]] = data["facts"]
    return found


def test_a_call_runs_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    (fact,) = tried(monkeypatch, "import sys\nprint('hello')\nsys.modules['harness'] = 1")
    version = importlib.metadata.version("pytest")
    assert fact["value"] is True and fact["origin"] == "tried here"
    assert fact["source"].endswith(f"with pytest {version} says: hello")
    assert sys.modules["harness"] != 1


def test_a_call_that_fails_says_why_and_names_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    (fact,) = tried(monkeypatch, "from json import nothing_such")
    assert fact["value"] is False
    assert "ImportError: cannot import name 'nothing_such' from 'json'" in fact["source"]
    assert sys.prefix not in fact["source"] and "/lib/" not in fact["source"]


def test_nothing_is_said_of_a_library_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(monkeypatch, "import no_such_library", "no-such-library") == []


def test_nothing_is_said_where_the_time_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_workload, "_SECONDS", 0.2)
    assert tried(monkeypatch, "import time; time.sleep(9)") == []


def test_every_price_is_a_fact_with_source_and_day() -> None:
    (data,) = prices_workload.measure(Request(workload="prices"), NOBODY)
    facts = {fact["name"]: fact for fact in data["facts"]}
    for service, row in prices.load(ROOT / "prices.yaml").items():
        assert facts[f"{service}/input_price"]["value"] == row.input
        assert row.as_of in facts[f"{service}/output_price"]["source"]
        assert (f"{service}/offered_context" in facts) == (row.context is not None)


def test_a_price_needs_source_and_day(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("new: {input: 1, output: 2, context: null, source: here, as_of: today}\n")
    with pytest.raises(BadFile, match=r"prices\.yaml:1: new\.as_of"):
        prices.load(path)


def test_claims_name_services_and_calls_that_are_there() -> None:
    rules = [claim.rule for claim in CLAIMS.values() if claim.rule]
    services, known = prices.load(ROOT / "prices.yaml"), calls.load(ROOT / "calls.yaml")
    asked = {rule.conditions.call for rule in rules if rule.conditions.call}
    assert asked == set(known), "each call is some claim's"
    for rule in rules:
        assert set(rule.conditions.services) <= set(services)
        if rule.metric == "offered_context":
            assert services[rule.conditions.services[0]].context


@pytest.mark.parametrize(
    ("metric", "conditions"),
    [
        ("price_ratio", {"services": ["one"]}),
        ("offered_context", {}),
        ("works", {}),
        ("parameters", {"call": "it"}),
        ("parameters", {"services": ["one", "two"]}),
    ],
)
def test_a_rule_says_what_is_looked_up(metric: str, conditions: dict[str, Any]) -> None:
    rule = {"metric": metric, "op": "==", "threshold": 1, "why": "a test", "n": 1}
    with pytest.raises(ValueError, match=r"conditions\.(services|call)"):
        Rule.model_validate(rule | {"conditions": conditions})


def test_a_changed_price_or_library_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner({}, {}, {})
    asked = [
        one for one in CLAIMS.values() if one.rule and one.rule.metric in ("works", "price_ratio")
    ]
    cells = planner.plan(asked).cells
    assert sorted(str(one.cell.workload) for one in cells) == ["calls", "prices"]
    before = [key(one, {}, {}) for one in cells]
    known = prices.load()
    name = next(iter(known))
    dearer = known | {name: known[name].model_copy(update={"input": 9.0})}
    monkeypatch.setattr(prices, "load", lambda: dearer)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0")
    after = [key(one, {}, {}) for one in cells]
    assert not set(before) & set(after)


def test_every_metric_of_a_price_or_a_call_is_asked_for() -> None:
    asked = {claim.rule.metric for claim in CLAIMS.values() if claim.rule}
    assert {name for name, one in METRICS.items() if one.comes_from in ("prices", "calls")} <= asked
