"""Speed by runtime: which runs have a row, what a row says, and where it stands on the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import publish_examples as examples
import publish_runs as made
import pytest
from publish_runs import records
from test_site import HOSTILE, files, read

from harness.judge.verdicts import Verdict
from harness.publish import rates, speeds, view
from harness.publish.rates import Rates
from harness.publish.site import publish
from harness.run import store
from harness.run.protocol import Shape

LAPTOP = {examples.LAPTOP.id: examples.LAPTOP}


def gathered(results: Path) -> list[Rates]:
    return rates.gather(store.runs(results), LAPTOP)


def put(tmp_path: Path, verdicts: list[Verdict] | None = None) -> Path:
    results, out = tmp_path / "results", tmp_path / "site"
    pages = {"900": examples.page()}
    publish(pages, verdicts or [], examples.MACHINES, results, out, store.runs(results))
    return out


def test_a_row_says_rate_interval_n_runtime_and_what_is_doubtful(tmp_path: Path) -> None:
    made.everywhere(tmp_path)
    (found,) = gathered(tmp_path)
    table, drawing = found.figure("decode_rate", "c") or (None, None)
    assert table and table.caption == (
        "Decode rate of quill by runtime; 64 prompt tokens, 4 new tokens, 2 threads"
    )
    assert table.rows == (
        ("llama.cpp 1.2, Q4_0, cpu", "20.1 tokens/s", "19.3 to 20.8 tokens/s, n = 3 of 3"),
        ("onnx 1.2, int8, cpu", "30.6 tokens/s", "29.5 to 31.7 tokens/s, n = 3 of 3"),
        (
            "transformers 1.2, fp16, cpu, synthetic weights",
            *("10.2 tokens/s", "9.6 to 10.8 tokens/s, n = 3 of 3"),
        ),
    )
    assert found.warnings == ["transformers fp16: decode rate drifted over the run (p = 0.001)"]
    root = ElementTree.fromstring(drawing or "")
    texts = [one.text for one in root.iter("text")]
    assert texts == [
        *("llama.cpp Q4_0", "20.1 tokens/s", "onnx int8", "30.6 tokens/s"),
        *("transformers fp16", "synthetic, 10.2 tokens/s"),
    ]
    title, summary = root[0].text or "", root[1].text or ""
    assert title == "Decode rate of quill by runtime"
    assert "onnx int8: 30.6 tokens/s, transformers fp16: synthetic, 10.2 tokens/s" in summary
    assert "AMD Ryzen 7" in summary


def test_prefill_and_decode_are_two_drawings_of_the_same_rows(tmp_path: Path) -> None:
    made.everywhere(tmp_path)
    (found,) = gathered(tmp_path)
    both = [found.figure(metric, "c") for metric in rates.RATES]
    heads = [[row[0] for row in table.rows] for table, _ in filter(None, both)]
    assert len(heads) == 2 and heads[0] == heads[1]
    prefill, _ = both[0] or (None, None)
    assert prefill and prefill.rows[0][1] == "64.0 tokens/s"


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "board"},
        {"shape": Shape(128, 4, 1)},
        {"shape": Shape(64, 8, 1)},
        {"cell": {"model": "ember"}},
        {"settings": records.SETTINGS.__class__("cpu", 8, 2048, {})},
    ],
    ids=["machine", "prompt", "answer", "model", "threads"],
)
def test_what_cannot_be_compared_has_a_table_of_its_own(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    made.timed(tmp_path)
    made.timed(tmp_path, "onnx", "int8", **changes)
    found = gathered(tmp_path)
    assert [len(one.rows) for one in found] == [1, 1]
    table, drawing = found[0].figure("decode_rate", "c") or (None, None)
    assert table and drawing is None, "one row has nothing to be compared with"


def played() -> list[Any]:
    """Three processes on a device that another processor plays."""
    data = records.speed(50.0)
    applied = data.applied.model_copy(update={"emulated": True})
    return [data.model_copy(update={"applied": applied})] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"arm": "control"},
        {"gates": [records.FAILED]},
        {"cell": {"memory_limit": 1 << 30}},
        {"data": [records.speed(20.0), "crashed", "timeout"]},
        {"data": played()},
    ],
    ids=["control", "invalid", "capped", "one process", "emulated"],
)
def test_what_tells_no_speed_has_no_row(tmp_path: Path, changes: dict[str, Any]) -> None:
    made.timed(tmp_path, **changes)
    assert gathered(tmp_path) == []


def test_of_two_runs_of_a_row_the_newest_stands(tmp_path: Path) -> None:
    """The older one leads to it all the same."""
    older = made.timed(tmp_path, rates=(5.0, 5.1, 5.2), cell={"prompt_tokens": 64})
    newer = made.timed(tmp_path, started="02")
    (found,) = gathered(tmp_path)
    assert [row.name for row in found.rows] == [f"{made.MACHINE}/{newer.name}"]
    assert f"{made.MACHINE}/{older.name}" in found.runs
    assert found.measured == "2 January 2026"


def test_rows_of_several_sessions_say_so(tmp_path: Path) -> None:
    made.timed(tmp_path)
    made.timed(tmp_path, "onnx", "int8")
    assert gathered(tmp_path)[0].note is None
    made.timed(tmp_path, "onnx", "int4", session="t")
    note = gathered(tmp_path)[0].note or ""
    assert note.startswith("Timed in 2 sessions, which differ by about 5%")
    assert note.endswith("a small difference between two rows means nothing.")


def test_every_model_that_was_timed_is_on_the_site_with_its_records(tmp_path: Path) -> None:
    made.everywhere(tmp_path / "results")
    made.timed(tmp_path / "results", cell={"model": "ember"})
    out = put(tmp_path)
    reader = read(out / "speeds.html")
    assert [tag for tag, _ in reader.elements].count("svg") - 1 == 2, "two charts, and the icons"
    assert "Timed in 2 sessions" in reader.text and "29.5 to 31.7 tokens/s" in reader.text
    links = {a.get("href") for tag, a in read(out / "index.html").elements if tag == "a"}
    assert {"speeds.html#rates-1", "speeds.html#rates-2"} <= links
    (folder,) = (tmp_path / "results").glob("*/*_onnx_*")
    for name in ("run.json", "samples.jsonl"):
        record = f"records/{folder.parent.name}/{folder.name}/{name}"
        assert (out / record).read_bytes() == (folder / name).read_bytes()
        assert record in {a.get("href") for _, a in reader.elements}


def test_without_a_timed_model_there_is_no_page(tmp_path: Path) -> None:
    out = put(tmp_path)
    assert not list(out.glob("speeds*")) and "speeds.html" not in (out / "index.html").read_text()


@pytest.mark.parametrize(
    ("metric", "threshold", "titles"),
    [
        ("decode_rate", 10, ["Decode rate of quill by runtime"]),
        ("prefill_rate", 10, ["Prefill rate of quill by runtime"]),
        ("inter_token_p50", 0.01, []),
    ],
)
def test_a_claim_on_a_rate_shows_it_beside_the_other_runtimes(
    tmp_path: Path, metric: str, threshold: float, titles: list[str]
) -> None:
    results = tmp_path / "results"
    made.everywhere(results)
    out = put(tmp_path, [made.judged(results, metric, threshold)])
    page = (out / "900.html").read_text()
    assert [one for one in ("Decode", "Prefill") if f"{one} rate of quill by runtime" in page] == [
        title.split()[0] for title in titles
    ]
    assert ("Timed in 2 sessions" in page) == ("fp16: decode rate drifted" in page) == bool(titles)
    assert 'href="speeds.html#rates-1"' in page, "either way it leads to both rates"


def test_evidence_for_other_pages_has_no_chart(tmp_path: Path) -> None:
    made.everywhere(tmp_path)
    assert view.claim(made.judged(tmp_path), {}, []).findings[0].beside is None


def test_no_file_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "LIMIT", 30_000)
    for at in range(9):
        made.timed(tmp_path / "results", cell={"model": f"m{at}"})
        made.timed(tmp_path / "results", "onnx", "int8", cell={"model": f"m{at}"})
    found = {name: body for name, body in files(put(tmp_path)).items() if "speeds" in name}
    assert len(found) > 1 and max(map(len, found.values())) <= 30_000
    index = read(tmp_path / "site" / "index.html")
    links = [a["href"] or "" for tag, a in index.elements if tag == "a"]
    places = [link.split("#") for link in links if "#rates-" in link]
    assert len(places) == 9
    assert all(f'id="{anchor}"'.encode() in found[name] for name, anchor in places)


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    hostile = {"model": HOSTILE, "quantisation": HOSTILE, "device": HOSTILE}
    for at, runtime in enumerate(("onnx", HOSTILE)):
        more = {"cell": hostile, "warnings": [HOSTILE], "id": f"run-{at}"}
        made.timed(tmp_path / "results", runtime, **more)
    out = put(tmp_path)
    for name in ("speeds.html", "index.html"):
        reader = read(out / name)
        assert not {"script", "img"} & {tag for tag, _ in reader.elements}
        assert not any(key.startswith("on") for _, a in reader.elements for key in a)
        assert "alert(1)" in reader.text and "{{7*7}}" in reader.text
        assert "\x07" not in (out / name).read_text()
    (found,) = gathered(tmp_path / "results")
    _, drawing = found.figure("decode_rate", "c") or (None, None)
    tags = {one.tag for one in ElementTree.fromstring(drawing or "").iter()}
    assert tags == {"svg", "title", "desc", "rect", "line", "text"}
