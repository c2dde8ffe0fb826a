from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import publish_examples as examples

from harness.publish import figures, stacks
from harness.publish.charts import Bar, Chart, draw
from harness.publish.stacks import Part, Stack
from harness.run.tasks import tool_calls, tool_chains

HOSTILE = '<script>alert(1)</script>"><img onerror=x>{{7*7}}\x00\x1b'
CHART = Chart(
    "Peak",
    "What it shows.",
    (Bar("2,048", 2.0, "2 GiB", 1.5, 2.5), Bar("4,096", None, "did not fit")),
    (4.0, "cap 4 GiB"),
)


def test_same_bars_same_bytes_in_another_process() -> None:
    script = (
        f"from harness.publish.charts import *; import sys;sys.stdout.write(draw({CHART!r}, 'c'))"
    )
    again = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert again.stdout == draw(CHART, "c")


def test_a_chart_names_and_describes_itself() -> None:
    root = ElementTree.fromstring(draw(CHART, "c"))
    assert root.get("role") == "img"
    ids = {element.get("id"): element.text for element in root if element.get("id")}
    assert ids == {"c-title": "Peak", "c-desc": "What it shows."}
    assert root.get("aria-labelledby") == "c-title c-desc"


def test_only_shapes_and_text_in_colours_of_the_page() -> None:
    svg = draw(CHART, "c")
    root = ElementTree.fromstring(svg)
    tags = {element.tag for element in root.iter()}
    assert tags == {"svg", "title", "desc", "rect", "line", "text"}
    assert not any(word in svg for word in ("style=", "fill=", "stroke=", "font-family", "http"))


def test_bars_end_where_their_values_are() -> None:
    root = ElementTree.fromstring(draw(CHART, "c"))
    lengths = [float(e.get("width", "")) for e in root.iter() if e.get("class") == "bar"]
    assert lengths == [round(320 * 2 / 4.08, 2)], "none for what has no length"
    (span,) = [e for e in root.iter("line") if e.get("class") == "ink"]
    assert [float(span.get(end, "")) for end in ("x1", "x2")] == [
        round(320 * end / 4.08, 2) for end in (1.5, 2.5)
    ]
    texts = [element.text for element in root.iter("text")]
    assert texts == ["2,048", "2 GiB", "4,096", "did not fit", "cap 4 GiB"]


STACK = Stack("Calls", "What they were.", (Part("exact", 150, "supported"), Part("rest", 50, "x")))


def test_shares_fill_the_bar_and_are_told_apart_by_number() -> None:
    root = ElementTree.fromstring(stacks.draw(STACK, "c"))
    bar = [e for e in root.iter("rect") if e.get("y") == "0"]
    assert [float(e.get("x", "")) for e in bar] == [0, 240]
    assert [float(e.get("width", "")) + 2 for e in bar] == [240, 80]
    texts = [e.text for e in root.iter("text")]
    assert texts == ["1", "2", "1 exact", "150, 75.0%", "2 rest", "50, 25.0%"]


def test_a_share_too_small_for_its_number_is_in_the_legend() -> None:
    parts = (*STACK.parts, Part("rare", 1, "x"))
    root = ElementTree.fromstring(stacks.draw(replace(STACK, parts=parts), "c"))
    texts = [e.text for e in root.iter("text")]
    assert "3" not in texts and "3 rare" in texts


def test_every_outcome_of_a_tool_call_has_its_place() -> None:
    assert set(figures._CALLS) == set(tool_calls.OUTCOMES) | set(tool_chains.OUTCOMES)


def test_tool_calls_are_shares_with_a_table_that_says_the_same(tmp_path: Path) -> None:
    verdict = examples.tools(tmp_path)
    svg = figures.chart(verdict, verdict.findings[0], "c") or ""
    assert "Shares of 200 items: exact 60.5%, wrong argument 24.0%," in svg
    table = figures.table(verdict, verdict.findings[0])
    assert table and table.heads == ("Outcome", "Items", "Share", "Note")
    assert table.rows[0] == ("exact", "121", "60.5%", "")
    assert [row[0] for row in table.rows][1:] == [
        *("wrong argument", "invented argument", "missing call", "unparseable")
    ]


def test_hostile_labels_are_text() -> None:
    chart = Chart(HOSTILE, HOSTILE, (Bar(HOSTILE, 1.0, HOSTILE),), (1.0, HOSTILE))
    svg = draw(chart, "c")
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        *("svg", "title", "desc", "rect", "line", "text"),
    }
    assert "<script" not in svg and "<img" not in svg


def test_contexts_that_did_not_fit_say_so_in_table_and_chart(tmp_path) -> None:
    verdict = examples.memory(tmp_path)
    table = figures.table(verdict, verdict.findings[0])
    assert table and table.rows[-1] == ("32,768", "no figure", "did not fit: out of memory")
    svg = figures.chart(verdict, verdict.findings[0], "c") or ""
    assert "did not fit" in svg and "cap 4.00 GiB" in svg
    assert "Out of memory at 32,768 tokens." in svg


def test_speeds_are_compared_only_on_one_machine_and_between_models(tmp_path) -> None:
    verdicts = [examples.speed(tmp_path), examples.disagreeing(tmp_path)]
    machines = {machine.id: machine for machine in examples.MACHINES}
    ((table, svg),) = figures.speeds(verdicts, machines)
    assert "Ryzen" in table.caption and len(table.rows) == 2
    assert "synthetic weights" in table.rows[1][0] and "synthetic, 42.1" in svg
    assert figures.speeds(verdicts[:1], machines) == []


def test_a_series_of_measurements_is_a_table_in_the_metrics_unit(tmp_path) -> None:
    verdict = examples.speed(tmp_path)
    table = figures.table(verdict, verdict.findings[0])
    assert table and table.heads == ("Measurement", "Value")
    assert table.rows[0] == ("process 1", "24.1 tokens/s")
    assert figures.chart(verdict, verdict.findings[0], "c") is None


def test_a_column_without_anything_is_left_out(tmp_path) -> None:
    verdict = examples.panel(tmp_path)
    table = figures.table(verdict, verdict.findings[0])
    assert table and table.heads == ("Reviewer", "Words")
