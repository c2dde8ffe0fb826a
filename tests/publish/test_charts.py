from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import publish_examples as examples
import pytest

from harness.errors import MissingError
from harness.publish import figures
from harness.publish.charts import Bar, Chart, _embed, draw

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
    assert tags == {"svg", "title", "desc", "g", "path", "line", "text"}
    assert not any(word in svg for word in ("style=", "fill=", "stroke=", "font-family", "http"))


def test_bars_end_where_their_values_are() -> None:
    root = ElementTree.fromstring(draw(CHART, "c"))
    lengths = [
        e.get("d", "").split("h")[1].split("v")[0] for e in root.iter() if e.get("class") == "bar"
    ]
    assert [round(float(length)) for length in lengths] == [round(320 * 2 / 4.08), 0]
    texts = [element.text for element in root.iter("text")]
    assert texts == ["2,048", "4,096", "2 GiB", "did not fit", "cap 4 GiB"]


def test_hostile_labels_are_text() -> None:
    chart = Chart(HOSTILE, HOSTILE, (Bar(HOSTILE, 1.0, HOSTILE),), (1.0, HOSTILE))
    svg = draw(chart, "c")
    assert {element.tag for element in ElementTree.fromstring(svg).iter()} <= {
        *("svg", "title", "desc", "g", "path", "line", "text"),
    }
    assert "<script" not in svg and "<img" not in svg


def test_of_a_foreign_drawing_only_shapes_are_kept() -> None:
    foreign = (
        '<svg xmlns="http://www.w3.org/2000/svg"><script fill="#000001">x()</script>'
        '<a fill="#000001"><path fill="#000002" d="M0,0" onclick="x()" style="y"/></a>'
        '<path fill="#000002" d="M1,1" onclick="x()" style="y"/></svg>'
    )
    assert '</desc><path class="bar" d="M1,1"></path></svg>' in _embed(foreign, CHART, "c")


def test_without_altair_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingError, match=r"pip install 'claimbench\[site\]'"):
        draw(CHART, "c")


def test_altair_is_not_loaded_before_a_chart_is_drawn() -> None:
    script = "import harness.publish.site, sys; sys.exit('altair' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


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
