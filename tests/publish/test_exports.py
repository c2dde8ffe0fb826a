"""Each format is read by somebody else's parser, and says what the record says."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml
from zipfile import ZipFile

import publish_examples as examples
import pytest
import yaml
from google.protobuf import json_format
from huggingface_hub import parse_eval_result_entries
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as Predicate
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from jsonschema import Draft7Validator
from playwright.sync_api import Browser

from harness.ask import claims, pages
from harness.judge import judge
from harness.judge.verdicts import Verdict
from harness.publish import exports
from harness.publish.exports import claim_review, figures, markdown
from harness.publish.site import publish
from harness.run import store

ROOT = Path(__file__).parents[2]
HOSTILE = "=1+1|`</script><b>&\n@ada\x00\x1b‮"
WHEEL = "564b8bc624c1f822f749a769dc69dc058a736e83d920cbeb147c3a30d3152317"


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    """The project's own."""
    return judge.read(ROOT / "results", claims.load(ROOT / "claims").values())


@pytest.fixture(scope="module")
def found(verdicts: list[Verdict]) -> dict[str, bytes]:
    return exports.files(verdicts)


def spoiled(verdict: Verdict) -> Verdict:
    """What a page, a model or a record could say."""
    claim = verdict.claim.model_copy(update={"quote": HOSTILE, "tool": HOSTILE, "who": HOSTILE})
    return verdict.model_copy(update={"claim": claim, "reason": HOSTILE})


def test_junit_counts_what_the_verdicts_say(
    found: dict[str, bytes], verdicts: list[Verdict]
) -> None:
    root = Xml.fromstring(found["exports/junit.xml"])
    cases = {str(case.get("name")).partition(":")[0]: case for case in root.iter("testcase")}
    tags = {"refuted": "failure", "inconclusive": "error", "supported": None}
    for verdict in verdicts:
        results = [one for one in cases[verdict.claim.id] if one.tag != "properties"]
        tag = tags.get(verdict.outcome, "skipped")
        assert [one.tag for one in results] == ([tag] if tag else [])
        assert all(one.get("message") == verdict.reason for one in results)
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert root.get(name) == str(len(list(root.iter(tag))))
    assert root.get("tests") == str(len(verdicts)) == str(len(cases))


def test_junit_holds_hostile_text(verdicts: list[Verdict]) -> None:
    body = exports.junit.export([spoiled(verdicts[0])])["junit.xml"]
    name = next(Xml.fromstring(body).iter("testcase")).get("name")
    assert name == f"{verdicts[0].claim.id}: =1+1|`</script><b>& @ada\ufffd\ufffd‮"


def test_csv_has_each_finding_with_its_figures(
    found: dict[str, bytes], verdicts: list[Verdict]
) -> None:
    rows = list(csv.DictReader(io.StringIO(found["exports/verdicts.csv"].decode(), newline="")))
    assert len(rows) == sum(max(1, len(one.findings)) for one in verdicts)
    by_claim = {(row["claim"], row["machine"]): row for row in rows}
    assert tuple(rows[0]) == figures.COLUMNS
    for verdict in verdicts:
        for finding in verdict.findings:
            row = by_claim[verdict.claim.id, finding.machine or ""]
            assert (row["finding"], row["n"]) == (finding.outcome, str(finding.n))
            if isinstance(finding.estimate, float):
                assert float(row["estimate"]) == finding.estimate
            if finding.estimate is None:
                assert row["estimate"] == "", "unknown is empty, never 0"


def test_csv_runs_nothing_in_a_spreadsheet(verdicts: list[Verdict]) -> None:
    body = exports.table.export([spoiled(verdicts[0])])["verdicts.csv"].decode()
    (row,) = csv.DictReader(io.StringIO(body, newline=""))
    assert row["quote"].startswith("'=1+1") and row["tool"].startswith("'=1+1")


def test_markdown_is_a_table_whatever_a_page_says(verdicts: list[Verdict]) -> None:
    body = markdown.export([spoiled(verdicts[0])])["summary.md"].decode()
    row = body.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5, "four cells"
    assert "<" not in row and not re.search(r"(?<!\\)[`@]", row)


def test_markdown_keeps_within_the_limit_and_counts_the_rest(
    verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = markdown.export(verdicts)["summary.md"].decode()
    assert whole.count("\n| ") == len(verdicts) + 1  # and the head
    monkeypatch.setattr(markdown, "LIMIT", 3000)
    body = markdown.export(verdicts)["summary.md"]
    rows = body.decode().count("\n| ") - 1
    assert len(body) <= 3000 and 0 < rows < len(verdicts)
    assert body.decode().endswith(f"\n{len(verdicts) - rows} more claims do not fit here.\n")


def test_in_toto_statements_name_artifacts_and_records_by_digest(
    found: dict[str, bytes], verdicts: list[Verdict]
) -> None:
    by_claim = {one.claim.id: one for one in verdicts}
    names = [name for name in found if "/in-toto/" in name]
    with_artifact = {
        one.claim.id for one in verdicts if any(two.artifact_sha256 for two in one.findings)
    }
    assert {Path(name).stem for name in names} == with_artifact
    for name in names:
        document = json.loads(found[name])
        message = Statement.copy_from_pb(json_format.ParseDict(document, Message()))
        message.validate()
        predicate = json_format.ParseDict(document["predicate"], Predicate())
        verdict = by_claim[Path(name).stem]
        word = {"supported": "PASSED", "refuted": "FAILED", "inconclusive": "WARNED"}
        assert predicate.result == word[verdict.outcome]
        path = ROOT / "results" / "verdicts" / verdict.claim.page / f"{verdict.claim.id}.json"
        record = predicate.configuration[0]
        assert record.digest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def every_eval_ever(tmp_path_factory: pytest.TempPathFactory) -> Draft7Validator:
    """The schema from the makers' own wheel; too large and not ours to keep a copy of."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    # It asks for a newer Python than ours; only a file of it is read.
    newer = ["--python-version", "3.12", "--only-binary", ":all:"]
    subprocess.run([*pip, *newer, "every-eval-ever==0.3.0"], check=True)
    (wheel,) = folder.iterdir()
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL
    with ZipFile(wheel) as archive:
        schema = json.loads(archive.read("every_eval_ever/schemas/eval.schema.json"))
    Draft7Validator.check_schema(schema)
    assert schema["version"] == exports.every_eval_ever.VERSION
    return Draft7Validator(schema)


def test_every_eval_ever_meets_its_schema(
    every_eval_ever: Draft7Validator, found: dict[str, bytes], verdicts: list[Verdict]
) -> None:
    documents = {name: json.loads(body) for name, body in found.items() if "every-eval" in name}
    tasks = [one for one in verdicts if one.rule and one.rule.conditions.task and one.findings]
    assert len(documents) == sum(len(one.findings) for one in tasks) > 0
    for document in documents.values():
        every_eval_ever.validate(document)
    claim, finding = next(
        (one.claim.id, first)
        for one in tasks
        for first in one.findings[:1]
        if first.interval and first.interval.high is not None
    )
    name = f"exports/every-eval-ever/{claim}-1.json"
    details = documents[name]["evaluation_results"][0]["score_details"]
    assert details["score"] == finding.estimate and finding.interval
    interval = details["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (finding.interval.low, finding.interval.high)


def test_eval_results_are_what_the_hub_reads(found: dict[str, bytes]) -> None:
    names = [name for name in found if "/eval_results/" in name]
    assert names
    for name in names:
        for entry in parse_eval_result_entries(yaml.safe_load(found[name])):
            assert entry.dataset_id.count("/") == 1 and isinstance(entry.value, float)


@pytest.mark.parametrize("spoil", ["gate", "weights"])
def test_eval_results_hold_no_score_that_does_not_count(
    spoil: str, verdicts: list[Verdict]
) -> None:
    scored = (one for one in verdicts if one.rule and one.findings)
    one = next(one for one in scored if one.rule.metric == "tool_call_accuracy")
    finding = one.findings[0]
    changes: dict[str, Any] = {"weights": "synthetic"}
    if spoil == "gate":
        changes = {"gates": [finding.gates[0].model_copy(update={"passed": False})]}
    bad = one.model_copy(update={"findings": [finding.model_copy(update=changes)]})
    assert exports.eval_results.export([one]) and not exports.eval_results.export([bad])


def test_claim_reviews_are_of_what_was_judged(verdicts: list[Verdict]) -> None:
    known = pages.load(ROOT / "pages")
    mine = [one for one in verdicts if one.claim.page == "004"]
    reviews = claim_review.reviews(known["004"], mine, "004.html")
    judged = [one for one in mine if one.outcome in ("supported", "refuted", "inconclusive")]
    assert [one["claimReviewed"] for one in reviews] == [one.claim.quote for one in judged]
    for verdict, review in zip(judged, reviews, strict=True):
        number = {"supported": 5, "refuted": 1}.get(verdict.outcome)
        assert review["reviewRating"].get("ratingValue") == number
    own = [one for one in verdicts if one.claim.page == "smoke"]
    assert own and claim_review.reviews(known["smoke"], own, "smoke.html") == []


@pytest.mark.browser
def test_a_browser_takes_claim_reviews_for_data(browser: Browser, tmp_path: Path) -> None:
    """Hostile words stay words, and the page's policy has nothing to complain of."""
    made = [spoiled(one) for one in examples.realistic(tmp_path / "results")]
    for one in made:
        path = tmp_path / "results/verdicts/900" / f"{one.claim.id}.json"
        store.write_whole(path, store.to_json(one))
    out = tmp_path / "site"
    publish({"900": examples.page()}, made, examples.MACHINES, tmp_path / "results", out)
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((out / "900.html").as_uri())
    text = page.locator('script[type="application/ld+json"]').text_content()
    reviews = json.loads(str(text))["@graph"]
    assert reviews and {one["claimReviewed"] for one in reviews} == {HOSTILE}
    assert said == []
    page.close()


def test_the_site_holds_them_and_they_follow_from_the_records(site: Path) -> None:
    names = {path.name for path in (site / "exports").iterdir()}
    assert {"junit.xml", "summary.md", "verdicts.csv", "in-toto"} <= names
    again = exports.files(examples.realistic(site.parent / "results"))
    for name, body in again.items():
        assert (site / name).read_bytes() == body
