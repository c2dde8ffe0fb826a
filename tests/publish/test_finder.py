"""What the finder lists, where its rows lead, and that its files stay small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import publish_examples as examples
import pytest

from harness.publish import finder, template, view
from harness.publish.view import PageView


def shown(results: Path, copies: int = 1) -> list[PageView]:
    verdicts = [
        one.model_copy(
            update={"claim": one.claim.model_copy(update={"id": f"{one.claim.id}-{at}"})}
        )
        for at in range(copies)
        for one in examples.realistic(results)
    ]
    machines = {one.id: one for one in examples.MACHINES}
    repeated = {one.claim.id: [] for one in verdicts}
    page = view.page(examples.page(), verdicts[:9], machines, repeated, {})
    claims = [view.claim(one, machines, []) for one in verdicts]
    page.groups[:] = [view.Group("All", claims)]
    return [page]


def test_every_claim_has_one_row_that_leads_to_it(site: Path) -> None:
    text = (site / "find.html").read_text(encoding="utf-8")
    rows = [row["claim"] for row in json.loads((site / "index.json").read_bytes())]
    links = re.findall(r'<a href="900\.html#claim-([\w-]+)">', text)
    assert sorted(links) == sorted(rows)


def test_a_row_has_a_class_of_each_filter_and_the_style_hides_by_each(tmp_path: Path) -> None:
    pages = shown(tmp_path)
    found = finder.find(pages)
    body = finder.render(template.environment(), found)["find.html"].decode()
    choices = {one.name for part in found.filters for one in part.choices}
    for name in choices:
        rule = f"main:has(option[value={name}]:checked) .row:not(.{name}) {{ display: none; }}"
        assert rule in body
    for model in found.models:
        for row in model.rows:
            assert set(row.classes) <= choices & set(model.classes)
            kinds = {name.partition("-")[0] for name in row.classes}
            assert kinds == {"outcome", "model", "kind", "machine"}
    ember = next(row for row in found.models[0].rows if "ember-speed" in row.href)
    assert len(ember.machines) == 2, "a claim on two machines is found by both"


def test_models_come_once_with_all_their_claims_in_files_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "ROWS", 20)
    found = finder.find(shown(tmp_path, copies=5))
    assert list(found.files) == ["find.html", "find.2.html", "find.3.html"]
    (model,) = found.models
    assert model.href == "find.html#model-1"
    assert sum(number for _, number in model.counts) == 45
    bodies = finder.render(template.environment(), found)
    assert all("the filters cover the one that is open" in one.decode() for one in bodies.values())


def test_a_full_file_is_below_the_limit_of_a_page(tmp_path: Path) -> None:
    found = finder.find(shown(tmp_path, copies=finder.ROWS // 9))
    assert len(finder.render(template.environment(), found)["find.html"]) < 300_000
