"""A checkout with as many claims and samples as wanted, in the project's own formats.

Made, not measured: it shows what the commands cost, and lies in a folder that is thrown away.
Records go through the record classes and the store and pass `harness check`.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from harness.ask import models
from harness.ask.claims import Claim
from harness.plan.cells import Cell, cells_of, digest
from harness.run import gates, store
from harness.run.protocol import Shape
from harness.run.records import (
    Applied,
    ArtifactRecord,
    Fact,
    FactsData,
    HarnessRecord,
    ItemData,
    Machine,
    MemoryData,
    Phase,
    Repeat,
    Run,
    RuntimeRecord,
    Sample,
    Sampler,
    SpeedData,
    TaskRecord,
)
from harness.run.runtimes import settings_for

ROOT = Path(__file__).resolve().parent.parent
MACHINE = "made-2c-24g"
CLAIMS, LARGEST, ON_A_PAGE = 10_000, 2_000, 80
ITEMS, ITEM_RUNS, PROCESSES = 1_000, 960, 8
CONTEXTS = [2048, 4096, 8192, 16384]
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_OUTCOMES = ("exact", "exact", "wrong_argument", "invented_argument", "missing_call", "unparseable")
_SHA = "ab" * 32


def write(folder: Path, share: float) -> tuple[int, int]:
    """Fills `folder` with that share of the whole; answers with its claims and samples."""
    for name in ("models.yaml", "prices.yaml", "calls.yaml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "tasks", folder / "tasks")
    names = sorted(models.load(ROOT / "models.yaml"))
    count = round(CLAIMS * share)
    claims = [_claim(at, names, round(ITEM_RUNS * share)) for at in range(count)]
    _write_pages(folder, claims, round(LARGEST * share))
    machine = Machine(
        id=MACHINE,
        processor="Made Processor",
        cores=2,
        threads=2,
        features=[],
        memory_bytes=24 << 30,
        system="Debian GNU/Linux 12",
        kernel="6.1.0",
        virtual=True,
        python="3.11.9",
        device_class="cpu",
    )
    store.write_machine(folder / "results", machine)
    cells = {cell: samples for claim in claims for cell, samples in _cells(claim)}
    total = 0
    for at, (cell, samples) in enumerate(cells.items()):
        total += _write_run(folder / "results", at, cell, samples(random.Random(at), cell))
    return count, total


def _claim(at: int, names: list[str], item_runs: int) -> dict[str, Any]:
    """Of ten claims four are on a task, two on speed, two on memory, one a fact, one an opinion."""
    sort, turn = at % 10, at // 10
    model, quantisation = names[turn % len(names)], f"Q{turn // len(names) % 4}"
    rule: dict[str, Any] = {"why": "It is what a reader would take from the words.", "n": PROCESSES}
    on: dict[str, Any] = {"quantisation": quantisation}
    kind = "accuracy"
    if sort < 4:
        run = (at // 10 * 4 + sort) % item_runs
        metric = ("tool_call_accuracy", "invented_share")[sort % 2]
        rule |= {"metric": metric, "op": ">=", "threshold": (at % 9 + 1) / 10, "n": ITEMS}
        on = {"quantisation": f"Q{run // len(names) % 4}", "task": f"made_{run // len(names) // 4}"}
        model, kind = names[run % len(names)], "tool calling"
    elif sort < 6:
        rule |= {"metric": "decode_rate", "op": ">=", "threshold": 5 + at % 20}
        on |= {"prompt_tokens": 64 + turn // len(names) // 4}
        kind = "latency"
    elif sort == 6:
        rule |= {"metric": "largest_context", "op": ">=", "threshold": 8192}
        on |= {"contexts": CONTEXTS, "memory_limit": (1024 + turn // len(names) // 4) << 20}
        kind = "memory"
    elif sort == 7:
        rule |= {"metric": "anonymous_peak", "op": "<=", "threshold": 1 << 30}
        on |= {"memory_limit": (1024 + turn // len(names) // 4) << 20}
        kind = "memory"
    elif sort == 8:
        rule |= {"metric": "licence", "op": "==", "threshold": "apache-2.0", "n": 1}
        on, kind = {}, "licence"
    claim = {
        "id": f"made-{at}",
        "tool": "Quill",
        "who": "blurb",
        "kind": kind,
        "quote": f"claim {at} of what it can do",
        "reading": "As it stands.",
        "model": model,
    }
    if sort == 9:
        return claim | {"kind": "opinion", "untestable": "A matter of taste."}
    return claim | {"rule": rule | {"conditions": on}}


def _write_pages(folder: Path, claims: list[dict[str, Any]], largest: int) -> None:
    """The first page has the most claims."""
    sizes = [largest, *[ON_A_PAGE] * ((len(claims) - largest) // ON_A_PAGE)]
    start = 0
    for name in ("pages", "claims"):
        (folder / name).mkdir()
    for at, size in enumerate(sizes):
        mine, page = claims[start : start + size], f"made{at:03}"
        start += size
        for one in mine:
            one["page"] = page
        tool = {
            "name": "Quill",
            "category": "Model",
            "tagline": "A made tool",
            "panel": {"printed": "75%", "label": "Panel ship"},
            "price": "Free",
            "community": "-",
            "community_label": "Community",
            "price_label": "Entry",
            "description": ". ".join(one["quote"] for one in mine),
        }
        text = {
            "id": page,
            "title": f"Made page {at}",
            "kicker": "Made",
            "question": "Which?",
            "tools": [tool],
            "scorecard": "Scorecard",
            "source": "made",
            "text_sha256": None,
        }
        (folder / "pages" / f"{page}.yaml").write_text(yaml.safe_dump(text))
        rows = [{name: value for name, value in one.items() if name != "page"} for one in mine]
        (folder / "claims" / f"{page}.yaml").write_text(
            yaml.safe_dump({"page": page, "claims": rows})
        )


_Made = Callable[[random.Random, Cell], Iterator[Sample]]


def _cells(claim: dict[str, Any]) -> Iterator[tuple[Cell, _Made]]:
    """The cells that settle a claim, each with what makes its samples."""
    for cell in cells_of(Claim.model_validate(claim)):
        yield cell, _MAKERS[cell.workload or "items"]


def _write_run(results: Path, at: int, cell: Cell, made: Iterator[Sample]) -> int:
    began = _BEGAN + timedelta(minutes=at)
    samples = [
        sample.model_copy(update={"index": index, "started": _stamp(began + timedelta(0, index))})
        for index, sample in enumerate(made)
    ]
    key, started = digest(cell), samples[0].started
    bound = cell.workload != "facts"
    settings = _settings(cell.context) if bound else None
    shape = Shape(cell.prompt_tokens or 64, 64, 3) if cell.workload == "speed" else None
    task = TaskRecord(
        id=cell.task or "", version_hash=_SHA, scorer_version=1, rows=ITEMS, template_sha256=_SHA
    )
    run = Run(
        id=f"{started.replace(':', '').replace('-', '')}_{cell.name}_{key[:8]}",
        key=key,
        machine=MACHINE,
        session=key[:12],
        arm="measured",
        cell=cell,
        settings=settings,
        shape=shape,
        planned=len(samples),
        warnings=[],
        samples=len(samples),
        failed=sum(1 for one in samples if one.cause),
        started=started,
        ended=_stamp(began + timedelta(hours=1)),
        harness=HarnessRecord(version="0.1.0", commit=None, dirty=None),
        runtime=RuntimeRecord(name="llama.cpp", version="1", device="cpu") if bound else None,
        artifact=_artifact(cell) if bound else None,
        task=task if cell.task else None,
        gates=gates.gates(cell, settings, shape, samples),
        samples_sha256=hashlib.sha256(store.samples_bytes(samples)).hexdigest(),
    )
    folder = results / MACHINE / run.id
    store.write_whole(folder / "samples.jsonl", store.samples_bytes(samples))
    store.write_whole(folder / "run.json", store.to_json(run))
    return len(samples)


def _stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _settings(context: int | None) -> Any:
    return settings_for("llama.cpp", "cpu", threads=2, context=context or 4096)


def _applied(context: int | None) -> Applied:
    return Applied(
        settings=_settings(context), weight_buffers={}, kv_bytes=1 << 20, runtime_build="made"
    )


def _artifact(cell: Cell) -> ArtifactRecord:
    digit = digest(cell.model, cell.quantisation)
    return ArtifactRecord(
        format="gguf",
        quantisation=cell.quantisation,
        sha256=digit,
        bytes=1,
        weights="real",
        source="{}",
    )


def _sample(data: Any, item: str | None = None, cause: Any = None) -> Sample:
    return Sample(index=0, item=item, started="", seconds=0.5, cause=cause, data=data)


def _items(chance: random.Random, cell: Cell) -> Iterator[Sample]:
    """A run's answers to a task's items, of the size that real ones have."""
    for at in range(ITEMS):
        outcome = chance.choice(_OUTCOMES)
        right, digit = outcome == "exact", hashlib.sha256(str(at).encode()).hexdigest()
        data = ItemData(
            applied=_applied(None) if at == 0 else None,
            template_sha256=_SHA if at == 0 else None,
            item=f"made_{at}",
            item_sha256=digit,
            prompt_sha256=digit,
            prompt_tokens=300,
            prompt_start=[1, 2, 3, 4, 5, 6, 7, 8],
            prompt_ids_sha256=digit,
            evaluated_tokens=300,
            new_tokens=60,
            first_logprobs=[(token, -chance.random() * 5) for token in range(10)],
            stopped="end",
            output="the model's own words, as long as they are " * 6,
            outcome=outcome,
            correct=right,
            detail="what differs from the key",
            by_other_rules={"bfcl": right or chance.random() < 0.1},
        )
        yield _sample(data, data.item)


def _speed(chance: random.Random, cell: Cell) -> Iterator[Sample]:
    for _ in range(PROCESSES):
        tokens = [chance.uniform(0.09, 0.11) for _ in range(63)]
        repeat = Repeat(
            evaluated_tokens=cell.prompt_tokens or 64,
            prefill_seconds=1.0,
            first_token_seconds=1.1,
            token_seconds=tokens,
        )
        yield _sample(
            SpeedData(
                applied=_applied(None),
                load_seconds=1.0,
                output=[1, 2],
                warm_up=repeat,
                repeats=[repeat] * 3,
            )
        )


def _memory(chance: random.Random, cell: Cell) -> Iterator[Sample]:
    """The longest context does not fit."""
    grown = 40_000 * (cell.context or 0)
    for _ in range(PROCESSES):
        if cell.context == CONTEXTS[-1]:
            yield _sample(None, cause="out_of_memory")
            continue
        phases = [
            Phase(
                name=name,
                seconds=0.1,
                anonymous_peak=size,
                anonymous_end=size,
                file_end=1 << 28,
                resident_peak=size,
                pss_anonymous=None,
                pss_file=None,
                major_faults=0,
            )
            for name, size in (("load", 1 << 28), ("context", (1 << 28) + grown))
        ]
        watch = Sampler(interval_seconds=0.01, polls=9, cpu_share=0.0, longest_gap_seconds=0.01)
        yield _sample(
            MemoryData(
                applied=_applied(cell.context),
                output=[1, 2],
                evaluated_tokens=64,
                phases=phases,
                sampler=watch,
            )
        )


def _facts(chance: random.Random, cell: Cell) -> Iterator[Sample]:
    fact = Fact(name="licence", value="apache-2.0", origin="published document", source="made")
    yield _sample(FactsData(facts=[fact]))


_MAKERS: dict[str, _Made] = {"items": _items, "speed": _speed, "memory": _memory, "facts": _facts}
