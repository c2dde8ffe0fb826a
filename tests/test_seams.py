"""The seams: what is added in one place works through plan, run and judge with no other touched."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import cli
from harness.ask import claims, tasks
from harness.ask.claims import Claim
from harness.ask.models import Artifact, Geometry, Model, SyntheticSource
from harness.judge import estimates, judge
from harness.metrics import METRICS
from harness.plan.cells import cells_of
from harness.plan.planner import Planner
from harness.run import values
from harness.run.runtimes import RUNTIMES, Entry
from harness.run.session import Session

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "judge"))
records: Any = import_module("judge_records")

QUILL = Model(
    id="quill",
    name="Quill",
    checkpoint="nobody/quill",
    facts={},
    geometry=Geometry(
        architecture="llama",
        hidden=64,
        layers=2,
        heads=2,
        kv_heads=1,
        head_dim=32,
        ffn=64,
        vocabulary=256,
        context=4096,
        rope_theta=10000,
        tied=True,
    ),
    artifacts=[
        Artifact(
            format="gguf", quantisation="Q4_0", source=SyntheticSource(kind="synthetic", seed=1)
        )
    ],
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without results, where commands are given, with an empty cache."""
    folder = tmp_path / "checkout"
    for name in ("claims", "pages", "tasks"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("models.yaml", "prices.yaml"):
        shutil.copy(ROOT / name, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def untouched() -> Iterator[None]:
    """Holds a test to adding: the package's own files are as before."""

    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (ROOT / "harness").rglob("*.py")}

    before = stamps()
    yield
    assert stamps() == before


# The whole file that a new runtime needs; what it says it did is what it was asked to do.
RUNTIME = '''
from dataclasses import asdict

from harness.run.runtimes import Answer


class Echo:
    """Answers each prompt with its own tokens, 100 a second."""

    def load(self, path, settings):
        self.settings = settings

    def create_context(self):
        pass

    def applied(self):
        return {
            "settings": asdict(self.settings),
            "weight_buffers": {},
            "kv_bytes": None,
            "runtime_build": "echo 1",
        }

    def vocabulary(self):
        return 256

    def evaluate(self, prompt, new_tokens, *, stop_at_end, top=0):
        times = [0.01] * (new_tokens - 1)
        return Answer(prompt[:new_tokens], len(prompt), 0.1, 0.11, times, "length")
'''


def test_a_runtime_is_one_file_and_one_line(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = checkout.parent / "plugins"
    plugins.mkdir()
    (plugins / "echo_runtime.py").write_text(textwrap.dedent(RUNTIME))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugins), str(ROOT)]))
    entry = Entry("echo_runtime:Echo", ("pytest",), "echo", ("cpu",), ("gguf",), lambda *_: {})
    monkeypatch.setitem(RUNTIMES, "echo", entry)

    asked = records.claim("decode_rate", ">=", 90, 2, runtime="echo")
    plan = Planner({"quill": QUILL}, {}, {}).plan([asked])
    assert [planned.problem for planned in plan.cells] == [None]
    session = Session(checkout / "results", {"quill": QUILL}, {}, lambda text, seconds: None)
    assert session.run(plan.cells) == []
    verdict = judge.judge(checkout / "results", [asked], {"quill": QUILL})[0]
    (finding,) = verdict.findings
    assert finding.runtime is not None
    assert (finding.runtime.name, finding.weights) == ("echo", "synthetic")
    assert (finding.n, finding.estimate) == (2, pytest.approx(100))
    checked = {gate.name: gate.passed for gate in finding.gates}
    names = ("samples", "settings", "device", "evaluated tokens", "output", "A/A control")
    assert {name: checked[name] for name in names} == dict.fromkeys(names, True)


def test_a_task_is_one_file(checkout: Path, untouched: None) -> None:
    source = (checkout / "tasks" / "bfcl_simple_python.yaml").read_text()
    (checkout / "tasks" / "calls_again.yaml").write_text(source.replace("seed: 1", "seed: 2"))
    known = tasks.load(checkout / "tasks")
    asked = records.claim("tool_call_accuracy", ">=", 0.5, 20, task="calls_again")
    real = QUILL.artifacts[0].model_copy(update={"source": source_of(checkout)})
    model = QUILL.model_copy(update={"artifacts": [real]})
    plan = Planner({"quill": model}, known, {}).plan([asked])
    (planned,) = plan.cells
    assert (planned.cell.task, planned.problem) == ("calls_again", None)
    assert "data of calls_again" in plan.needs
    records.run_all(checkout / "results", asked, records.items(20, 0))
    assert judge.judge(checkout / "results", [asked], {})[0].outcome == "supported"


def source_of(checkout: Path) -> Any:
    """Where the project's one real artifact comes from."""
    from harness.ask import models

    return models.load(checkout / "models.yaml")["smollm2-135m-instruct"].artifacts[0].source


def test_a_timed_metric_is_one_row_and_its_value(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, untouched: None
) -> None:
    row = replace(METRICS["load_time"], name="first_load", comes_from="speed")
    monkeypatch.setitem(METRICS, "first_load", row)
    monkeypatch.setitem(values._SPEED, "first_load", lambda data: data.load_seconds)
    asked = records.claim("first_load", "<=", 2, 3)
    assert Planner({"quill": QUILL}, {}, {}).plan([asked]).cells[0].cell.workload == "speed"
    records.run_all(checkout / "results", asked, [records.speed(20)] * 3)
    verdict = judge.judge(checkout / "results", [asked], {})[0]
    assert (verdict.outcome, verdict.findings[0].estimate) == ("supported", 1.0)
    assert verdict.metric_definition == row.definition


def test_a_share_is_one_row_and_what_it_counts(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, untouched: None
) -> None:
    monkeypatch.setitem(METRICS, "cut_share", replace(METRICS["invented_share"], name="cut_share"))
    monkeypatch.setitem(estimates._HITS, "cut_share", lambda item: item.stopped == "length")
    asked = records.claim("cut_share", "<=", 0.5, 20, task="bfcl_simple_python")
    records.run_all(checkout / "results", asked, records.items(0, 20))
    verdict = judge.judge(checkout / "results", [asked], {})[0]
    assert (verdict.outcome, verdict.findings[0].estimate) == ("supported", 0.0)


def test_a_claim_is_one_entry(
    checkout: Path, untouched: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "claims" / "002.yaml"
    file = yaml.safe_load(path.read_text())
    other = next(one for one in file["claims"] if one["id"] == "002-01-size")
    rule = other["rule"] | {"op": "<=", "threshold": 1_000_000_000, "margin": None}
    file["claims"].append(other | {"id": "002-new", "rule": rule})
    path.write_text(yaml.safe_dump(file))

    assert cli.main(["plan", "002-new", "--json"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    assert planned["claims"] == ["002-new"]
    known: dict[str, Claim] = claims.load(checkout / "claims")
    (cell,) = cells_of(known["002-new"])
    records.write(checkout / "results", cell, [records.facts(3_075_000_000)])
    assert cli.main(["judge", "--json"]) == 0
    outcomes = {one["claim"]["id"]: one["outcome"] for one in json.loads(capsys.readouterr().out)}
    assert (outcomes["002-new"], outcomes["002-01-size"]) == ("refuted", "supported")


LIBRARIES = {
    "llama_cpp",
    "torch",
    "transformers",
    "onnxruntime",
    "optimum",
    "gguf",
    "huggingface_hub",
    "httpx2",
    "pyarrow",
    "duckdb",
}
FILES = sorted((ROOT / "harness").rglob("*.py"))
EACH = pytest.mark.parametrize("path", FILES, ids=lambda one: str(one.relative_to(ROOT)))


def imported(body: list[ast.stmt]) -> set[str]:
    """Packages that importing the module imports: not those inside functions."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in ("body", "orelse", "finalbody", "handlers"):
                inner = getattr(node, part, [])
                typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
                found |= set() if typing and part == "body" else imported(inner)
    return found


@EACH
def test_a_library_is_loaded_by_its_own_runtime_alone(path: Path) -> None:
    found = imported(ast.parse(path.read_text()).body) & LIBRARIES
    exporter = path.parent.name == "prepare" and path.stem.startswith("export_")  # run, not loaded
    if exporter or (path.parent.name == "runtimes" and path.name != "__init__.py"):
        assert len(found) <= 1 or found == {"torch", "transformers"}  # one stands on the other
    else:
        assert not found


@EACH
def test_a_file_and_its_functions_can_be_read_in_one_go(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= 40, f"{node.name}: {lines} lines"
