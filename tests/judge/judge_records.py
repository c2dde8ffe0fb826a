"""Claims, samples and finished runs, as short as a test can say them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.ask.claims import Claim
from harness.metrics import LOOKED_UP, METRICS
from harness.plan.cells import Cell, cells_of, digest
from harness.run import store
from harness.run.protocol import Shape
from harness.run.records import (
    Applied,
    ArtifactRecord,
    Data,
    Fact,
    FactsData,
    Gate,
    HarnessRecord,
    ItemData,
    LoadData,
    MemoryData,
    PanelData,
    Phase,
    Repeat,
    Run,
    RuntimeRecord,
    Sample,
    Sampler,
    SpeedData,
    Stance,
)
from harness.run.runtimes import settings_for

SHA = "0" * 64
KIB = 1 << 10
MIB = 1 << 20
SETTINGS = settings_for("llama.cpp", "cpu", threads=2, context=2048)
PASSED = Gate(name="samples", passed=True, detail="0 failed")
FAILED = Gate(name="steal", passed=False, detail="most stolen CPU time 9.00%, limit 5%")


def claim(metric: str, op: str, threshold: Any, n: int = 5, **more: Any) -> Claim:
    """A claim on `metric`; `more` are conditions, but for margin, id, page and tool."""
    texts = {"id": "900-1", "page": "900", "tool": "Quill"}
    texts |= {name: more.pop(name) for name in list(more) if name in texts}
    margin = more.pop("margin", None)
    if METRICS[metric].comes_from not in LOOKED_UP:
        more.setdefault("quantisation", "Q4_0")
    if metric == "inter_token_p99":
        more.setdefault("new_tokens", 663)
    rule = {"metric": metric, "op": op, "threshold": threshold, "why": "a test", "n": n}
    return Claim.model_validate(
        {
            **texts,
            "who": "blurb",
            "quote": "quick",
            "kind": "latency",
            "reading": "as it stands",
            "model": None if METRICS[metric].comes_from == "panel" else "quill",
            "rule": rule | {"margin": margin, "conditions": more},
        }
    )


def samples(data: Iterable[Data | str]) -> list[Sample]:
    """One sample each; a text is the cause of a failed one."""
    return [
        Sample(
            index=index,
            started="2026-01-01T00:00:00Z",
            seconds=1.0,
            cause=one if isinstance(one, str) else None,  # type: ignore[arg-type]
            data=None if isinstance(one, str) else one,
        )
        for index, one in enumerate(data)
    ]


def applied(context: int = 2048) -> Applied:
    settings = replace(SETTINGS, context=context)
    return Applied(settings=settings, weight_buffers={}, kv_bytes=None, runtime_build="b1")


def speed(rate: float, tokens: int = 4) -> SpeedData:
    """A process that decodes `rate` tokens a second."""
    repeat = Repeat(
        evaluated_tokens=64,
        prefill_seconds=1.0,
        first_token_seconds=1.1,
        token_seconds=[1 / rate] * tokens,
    )
    return SpeedData(
        applied=applied(), load_seconds=1.0, output=[1], warm_up=repeat, repeats=[repeat]
    )


def load(seconds: float) -> LoadData:
    return LoadData(
        applied=applied(), output=[1], cached_before=0.0, model_seconds=seconds, context_seconds=0.0
    )


def memory(context: int, grown: int = 0, faults: int = 0, peak: int = 100 * MIB) -> MemoryData:
    """A process whose context took `grown` bytes, and which went to the disk `faults` times."""
    return MemoryData(
        applied=applied(context),
        output=[1],
        evaluated_tokens=64,
        phases=[
            phase("load", 50 * MIB, 50 * MIB),
            phase("context", peak, 50 * MIB + grown),
            phase("decode", peak, 50 * MIB + grown, faults),
        ],
        sampler=Sampler(interval_seconds=0.01, polls=9, cpu_share=0.0, longest_gap_seconds=0.01),
    )


def phase(name: Any, peak: int, end: int, faults: int = 0) -> Phase:
    return Phase(
        name=name,
        seconds=1.0,
        anonymous_peak=peak,
        anonymous_end=end,
        file_end=0,
        resident_peak=None,
        pss_anonymous=None,
        pss_file=None,
        major_faults=faults,
    )


def item(correct: bool, outcome: str | None = None, partial: float | None = None) -> ItemData:
    return ItemData(
        item="one",
        item_sha256=SHA,
        prompt_sha256=SHA,
        prompt_tokens=9,
        evaluated_tokens=9,
        new_tokens=3,
        stopped="end",
        output="[]",
        outcome=outcome or ("correct" if correct else "wrong_value"),
        correct=correct,
        partial=partial,
        detail="",
    )


def items(right: int, wrong: int) -> list[Data | str]:
    return [*[item(True)] * right, *[item(False)] * wrong]


def facts(*values: Any, name: str = "parameters") -> FactsData:
    """One fact told by several sources, the most trusted first."""
    origins: list[Any] = ["file header", "published configuration", "published document"]
    return FactsData(
        facts=[
            Fact(name=name, value=value, origin=origin, source="a place")
            for value, origin in zip(values, origins, strict=False)
        ]
    )


def panel(*stances: str | None, tool: str = "Quill") -> PanelData:
    said = [
        Stance(reviewer=f"r{at}", stance=one, words=one)  # type: ignore[arg-type]
        for at, one in enumerate(stances)
    ]
    return PanelData(stances={tool: said})


def write(
    results: Path, cell: Cell, data: Iterable[Data | str], *, started: str = "01", **changes: Any
) -> Path:
    """The folder of a finished run of `cell`. `started`: a day of January 2026."""
    machine = changes.pop("machine", "laptop")
    found = samples(data)
    began = f"2026-01-{started}T00:00:00Z"
    key = digest(cell, started, machine, changes.get("arm"), changes.get("session"))
    needs_model = cell.workload not in LOOKED_UP
    run = Run.model_validate(
        {
            "id": f"202601{started}_{cell.name}_{key[:8]}",
            "key": key,
            "machine": machine,
            "session": "s",
            "arm": "measured",
            "cell": cell,
            "settings": applied(cell.context or 2048).settings if needs_model else None,
            "shape": Shape(64, 4, 1) if cell.workload == "speed" else None,
            "planned": len(found),
            "samples": len(found),
            "failed": sum(1 for one in found if one.cause),
            "started": began,
            "ended": f"2026-01-{started}T01:00:00Z",
            "harness": HarnessRecord(version="0.1.0", commit=None, dirty=None),
            "runtime": RuntimeRecord(name="llama.cpp", version="1", device="cpu")
            if needs_model
            else None,
            "artifact": artifact() if needs_model else None,
            "task": None,
            "gates": [PASSED],
            "warnings": [],
            "samples_sha256": hashlib.sha256(store.samples_bytes(found)).hexdigest(),
            **changes,
        }
    )
    folder = results / machine / run.id
    store.write_whole(folder / "samples.jsonl", store.samples_bytes(found))
    store.write_whole(folder / "run.json", store.to_json(run))
    return folder


def artifact(weights: Any = "real", sha256: str = SHA) -> ArtifactRecord:
    return ArtifactRecord(
        format="gguf", quantisation="Q4_0", sha256=sha256, bytes=1, weights=weights, source="{}"
    )


def run_all(results: Path, wanted: Claim, *data: Iterable[Data | str], **changes: Any) -> None:
    """One run for each of the claim's cells, in their order."""
    for cell, one in zip(cells_of(wanted), data, strict=True):
        write(results, cell, one, **changes)
