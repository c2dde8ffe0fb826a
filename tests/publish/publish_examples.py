"""A realistic set of verdicts, with the records they rest on written to disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from harness.ask.claims import Claim
from harness.ask.pages import Page, Panel, Review, Tool
from harness.judge.verdicts import Evidence, Finding, Interval, Point, Subject, Verdict
from harness.metrics import METRICS
from harness.publish import view
from harness.publish.attach.fragments import Fragments
from harness.run.protocol import Shape
from harness.run.records import Gate, Machine, RuntimeRecord
from harness.run.runtimes import settings_for

GIB = 1 << 30
LAPTOP = Machine(
    id="laptop-8c-32g",
    processor="AMD Ryzen 7 7840U",
    cores=8,
    threads=16,
    features=["avx2", "avx512f"],
    memory_bytes=32 * GIB,
    system="Debian GNU/Linux 12",
    kernel="6.1.0",
    virtual=False,
    python="3.11.9",
    device_class="cpu",
)
CLOUD = LAPTOP.model_copy(
    update={
        "id": "cloud-4c-16g",
        "processor": "Intel Xeon Platinum 8488C",
        "cores": 4,
        "threads": 8,
        "memory_bytes": 16 * GIB,
        "virtual": True,
    }
)
MACHINES = [LAPTOP, CLOUD]
SETTINGS = settings_for("llama.cpp", "cpu", threads=8, context=4096)
SHAPE = Shape(128, 64, 3)
RUNTIME = RuntimeRecord(name="llama.cpp", version="b6321", device="cpu")


def page() -> Page:
    tools = [
        _tool("Quill 3B", "A 3B model that fits in phone RAM", "75%", QUILL),
        _tool("Ember 1.7B", "Small, open, and fast enough to feel instant", "100%", EMBER),
    ]
    reviews = [
        Review(reviewer=who, tool=tool, text=text, stance="ship", stance_words="earns the ship")
        for who, tool, text in REVIEWS
    ]
    return Page(
        id="900",
        title="Quill 3B vs Ember 1.7B",
        kicker="AI tool comparison",
        question="Which one should you ship with? Here is the side-by-side panel verdict, pricing "
        "read, reviewer split, and community vote comparison.",
        tools=tools,
        scorecard="Reviewer scorecard",
        reviews=reviews,
        footer=["Weekly AI Tool Verdicts", "Get the next comparison in your inbox"],
        source="https://example.org/compare/quill-3b-vs-ember",
        text_sha256=None,
    )


QUILL = (
    "Quill 3B is an open-weight language model optimized for edge and on-device inference, "
    "released under the Apache 2.0 license. It fits in 4GB of memory with room for a 32K context "
    "and answers at 20 tokens per second on a laptop CPU, without a GPU."
)
EMBER = (
    "Ember 1.7B targets developers building latency-sensitive, privacy-first applications. It "
    "decodes above 40 tokens per second on an ordinary laptop, and its tool calling is reliable "
    "enough for production agents."
)
REVIEWS = (
    (
        "Builder",
        "Quill 3B",
        "The primitive is clean: a quantization-friendly checkpoint that fits in phone RAM and "
        "runs fast without a GPU babysitter. The moment of truth is whether it fits in 4GB with "
        "room for a KV cache, and at reasonable quant levels it clears that bar.",
    ),
    (
        "Builder",
        "Ember 1.7B",
        "Fast first token, honest model card. In two years every enterprise app will ship one of "
        "these. The specific decision that earns the ship is the license.",
    ),
    (
        "Skeptic",
        "Quill 3B",
        "3B models hallucinate tool schemas at a rate that makes production agentic use painful, "
        "and no benchmark the authors published tests that.",
    ),
    (
        "Skeptic",
        "Ember 1.7B",
        "It is faster than Quill 3B on the same machine, and for most on-device jobs that is the "
        "only number that matters.",
    ),
)


def _tool(name: str, tagline: str, panel: str, description: str) -> Tool:
    return Tool(
        name=name,
        category="Developer Tools",
        tagline=tagline,
        panel=Panel(printed=panel, label="Panel ship"),
        community="—",
        community_label="Community",
        price="Free",
        price_label="Entry",
        description=description,
    )


def own_page() -> Page:
    return page().model_copy(
        update={"id": "smoke", "title": "Smoke model vs itself", "own": True, "source": "here"}
    )


def claim(name: str, quote: str, kind: str, tool: str = "Quill 3B", **more: Any) -> Claim:
    more.setdefault("reading", f"Read as a statement on {kind} under the conditions below.")
    base = {"id": name, "page": "900", "tool": tool, "who": "blurb", "quote": quote, "kind": kind}
    return Claim.model_validate({**base, "model": "quill-3b", **more})


def rule(metric: str, op: str, threshold: Any, **conditions: Any) -> dict[str, Any]:
    why = "This is the figure that a reader would take from the page's own words."
    if METRICS[metric].comes_from in ("speed", "memory", "load", None):
        conditions.setdefault("quantisation", "Q4_K_M")
    return {
        "metric": metric,
        "op": op,
        "threshold": threshold,
        "why": why,
        "n": 8,
        "conditions": conditions,
    }


def evidence(results: Path, name: str) -> Evidence:
    """A raw record, written below `results`."""
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"record": "{path.parent.name}"}}\n', encoding="utf-8")
    return Evidence(path=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def finding(results: Path, cell: str, **more: Any) -> Finding:
    machine = more.get("machine", LAPTOP.id)
    base: dict[str, Any] = {
        "machine": machine,
        "outcome": "supported",
        "reason": "The whole interval lies above the threshold.",
        "estimate": None,
        "interval": None,
        "n": 8,
        "planned": 8,
        "failed": 0,
        "p_value": None,
        "weights": "real",
        "runtime": RUNTIME,
        "settings": SETTINGS,
        "shape": None,
        "artifact_sha256": ["ab" * 32],
        "gates": [
            Gate(name="device", passed=True, detail="the runtime reports cpu"),
            Gate(name="throttling", passed=None, detail="this machine shows no counter"),
        ],
        "warnings": [],
        "series": [],
        "measured": "2026-03-04",
        "evidence": [evidence(results, f"{machine or 'facts'}/{cell}/run.json")],
    }
    return Finding.model_validate({**base, **more})


def verdict(found: Claim, outcome: str, findings: list[Finding], **more: Any) -> Verdict:
    metric = METRICS[found.rule.metric] if found.rule else None
    base: dict[str, Any] = {
        "claim": found,
        "rule": found.rule,
        "subject": Subject(
            model="quill-3b",
            checkpoint="quill/Quill-3B-Instruct",
            quantisation="Q4_K_M",
            weights="real",
            note="",
        )
        if found.rule
        else None,
        "outcome": outcome,
        "reason": findings[0].reason if findings else "No record of this claim exists yet.",
        "would_change": "A measurement on a faster machine, or with another quantisation.",
        "unit": metric.unit if metric else None,
        "metric_definition": metric.definition if metric else None,
        "misses": metric.misses if metric else None,
        "findings": findings,
        "command": f"harness verify {found.id}" if found.rule else None,
    }
    return Verdict.model_validate({**base, **more})


def _log_t(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, level=0.95, method="Student's t on logarithms")


def ember(weights: str = "synthetic") -> Subject:
    return Subject(
        model="ember-1.7b",
        checkpoint="ember/Ember-1.7B-Chat",
        quantisation="Q4_K_M",
        weights=weights,
        note="The page's name matches no checkpoint; this is the only open one of that size.",
    )


def memory(results: Path) -> Verdict:
    contexts = [4096, 8192, 16384, 32768]
    peaks = [2.61 * GIB, 3.02 * GIB, 3.77 * GIB, None]
    series = [
        Point(label=str(size), value=peak, note="fitted" if peak else "out_of_memory")
        for size, peak in zip(contexts, peaks, strict=True)
    ]
    found = finding(
        results,
        "memory_quill_limit",
        outcome="refuted",
        reason="32,768 tokens ran out of memory under the cap in each of 3 processes.",
        estimate=16384,
        interval=Interval(low=16384, high=32768, level=None, method="bracket of tested lengths"),
        n=9,
        planned=12,
        failed=3,
        series=series,
        warnings=["swap was on; the cap does not cover it"],
    )
    asked = rule("largest_context", ">=", 32768, contexts=contexts, memory_limit=4 * GIB)
    quote = "It fits in 4GB of memory with room for a 32K context"
    return verdict(claim("fits-4gb", quote, "memory", rule=asked), "refuted", [found])


def speed(results: Path) -> Verdict:
    found = finding(
        results,
        "speed_quill",
        estimate=24.14,
        interval=_log_t(23.6, 24.7),
        shape=SHAPE,
        p_value=0.0004,
        series=[Point(label=f"process {at}", value=24.0 + at / 10, note="") for at in (1, 2, 3)],
    )
    made = claim(
        "quill-speed",
        "answers at 20 tokens per second on a laptop CPU",
        "latency",
        rule=rule("decode_rate", ">=", 20.0),
    )
    return verdict(made, "supported", [found])


def disagreeing(results: Path) -> Verdict:
    fast = finding(
        results,
        "speed_ember",
        estimate=42.1,
        interval=_log_t(41.2, 43.0),
        shape=SHAPE,
        weights="synthetic",
    )
    slow = finding(
        results,
        "speed_ember",
        machine=CLOUD.id,
        outcome="refuted",
        reason="The whole interval lies below the threshold.",
        estimate=18.3,
        interval=_log_t(17.0, 19.7),
        shape=SHAPE,
        n=7,
        failed=1,
        weights="synthetic",
        measured="2026-03-06",
        gates=[Gate(name="A/A control", passed=False, detail="arms differ by 9%")],
    )
    made = claim(
        "ember-speed",
        "decodes above 40 tokens per second on an ordinary laptop",
        "latency",
        "Ember 1.7B",
        rule=rule("decode_rate", ">=", 40.0),
    )
    return verdict(
        made,
        "inconclusive",
        [fast, slow],
        reason="Two machines disagree: true on one, false on the other.",
        subject=ember(),
    )


def tools(results: Path) -> Verdict:
    series = [
        Point(label="exact", value=121, note=""),
        Point(label="wrong_argument", value=48, note=""),
        Point(label="invented_argument", value=19, note=""),
        Point(label="missing_call", value=9, note="answered in prose"),
        Point(label="unparseable", value=3, note=""),
    ]
    found = finding(
        results,
        "bfcl_simple_ember",
        outcome="refuted",
        reason="The whole interval lies below the threshold.",
        estimate=0.605,
        interval=Interval(low=0.536, high=0.670, level=0.95, method="Wilson"),
        n=200,
        planned=200,
        series=series,
    )
    made = claim(
        "ember-tools",
        "its tool calling is reliable enough for production agents",
        "tool calling",
        "Ember 1.7B",
        rule=rule("tool_call_accuracy", ">=", 0.9, task="bfcl-simple"),
    )
    return verdict(made, "refuted", [found], subject=ember("real"))


def panel(results: Path) -> Verdict:
    found = finding(
        results,
        "panel_900",
        machine=None,
        outcome="inconclusive",
        reason="Two of four reviewers say ship; two say neither.",
        estimate=None,
        interval=Interval(low=0.5, high=1.0, level=None, method="bounds"),
        n=2,
        planned=4,
        weights=None,
        runtime=None,
        settings=None,
        artifact_sha256=[],
        gates=[],
        series=[
            Point(label="Builder", value=None, note="earns the ship"),
            Point(label="Skeptic", value=None, note="says neither"),
        ],
    )
    made = claim("panel-75", "75%\nPanel ship", "panel score", rule=rule("panel_share", "==", 0.75))
    return verdict(made, "inconclusive", [found], subject=None)


def others(results: Path) -> list[Verdict]:
    licence = finding(
        results,
        "facts_quill",
        machine=None,
        estimate="apache-2.0",
        reason="The published licence is the one the page names.",
        n=1,
        planned=1,
        weights=None,
        runtime=None,
        settings=None,
        artifact_sha256=[],
        gates=[],
    )
    first = claim(
        "quill-licence",
        "released under the Apache 2.0 license",
        "licence",
        rule=rule("licence", "==", "apache-2.0"),
    )
    untried = claim(
        "phone-ram",
        "fits in phone RAM and runs fast without a GPU babysitter",
        "memory",
        who="Builder",
        suite="full",
        rule=rule("anonymous_peak", "<=", 4 * GIB),
    )
    part = claim(
        "phone-fast",
        "runs fast without a GPU babysitter",
        "latency",
        who="Builder",
        suite="full",
        rule=rule("time_to_first_token", "<=", 0.5),
    )
    forecast = claim(
        "enterprise",
        "In two years every enterprise app will ship one of these",
        "prediction",
        "Ember 1.7B",
        who="Builder",
        untestable="It speaks of a time that has not come.",
    )
    return [
        verdict(first, "supported", [licence]),
        verdict(untried, "not_tested", []),
        verdict(part, "not_tested", []),
        verdict(
            forecast,
            "not_testable",
            [],
            reason="A prediction.",
            would_change="Two years, and a count of apps.",
        ),
    ]


def store(results: Path, verdicts: list[Verdict]) -> list[Verdict]:
    """Writes the verdicts as `judge` does."""
    for one in verdicts:
        path = results / "verdicts" / one.claim.page / f"{one.claim.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return verdicts


def realistic(results: Path) -> list[Verdict]:
    """Every kind of verdict once, with evidence below `results`."""
    made = [memory(results), speed(results), disagreeing(results), tools(results), panel(results)]
    return store(results, made + others(results))


def fragments(verdicts: list[Verdict], base: str = "") -> Fragments:
    machines = {one.id: one for one in MACHINES}
    return Fragments((view.claim(one, machines, []) for one in verdicts), base)
