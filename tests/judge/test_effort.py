"""What an untested claim would take: bytes from the tables, and a time that says it is a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ask import models, tasks
from harness.ask.claims import Claim, Conditions, Rule
from harness.judge import judge
from harness.judge.effort import told

ROOT = Path(__file__).resolve().parents[2]
MODELS, TASKS = models.load(ROOT / "models.yaml"), tasks.load(ROOT / "tasks")


def _claim(metric: str = "tool_call_accuracy", n: int = 50, **on: object) -> Claim:
    exact = metric == "parameters"
    rule = Rule(
        metric=metric,
        op="==" if exact else "<=",
        threshold=1 if exact else 0.5,
        why="w",
        n=n,
        conditions=Conditions.model_validate(on),
    )
    return Claim(
        id="900-1",
        page="900",
        tool="T",
        who="blurb",
        quote="q",
        kind="tool calling",
        reading="r",
        model="smollm3-3b",
        rule=rule,
    )


def test_sizes_are_those_of_the_tables() -> None:
    asked = _claim(task="bfcl_simple_python", quantisation="Q4_K_M")
    wheel = TASKS["bfcl_simple_python"].source.wheel_bytes  # type: ignore[union-attr]
    expected = f"{(1_915_305_312 + wheel) / 1e9:.1f} GB"
    assert f", fetches {expected} and takes" in told(asked, MODELS, TASKS)
    assert told(asked, MODELS, TASKS).endswith("(a guess)")


def test_generated_weights_are_not_fetched() -> None:
    assert told(_claim("decode_rate", quantisation="Q4_0"), MODELS, TASKS).startswith(
        ", fetches nothing and takes"
    )


def test_where_no_table_has_the_size_the_weights_give_it() -> None:
    # 3.1 billion weights at 4.5 bits; the file's own size is not in models.yaml.
    asked = _claim(task="tool_chains", quantisation="q4", runtime="onnx")
    assert "1.7 GB (by the number of weights" in told(asked, MODELS, TASKS)
    named = _claim(task="tool_chains", quantisation="Q4_K_M")
    assert "number of weights" not in told(named, MODELS, TASKS)
    assert "fetches 1.7 GB" in told(asked, MODELS, TASKS)


def test_a_data_set_of_unknown_size_is_named_as_such() -> None:
    source = TASKS["mmlu"].source
    unsized = [one.model_copy(update={"bytes": None}) for one in source.files]  # type: ignore[union-attr]
    task = TASKS["mmlu"].model_copy(update={"source": source.model_copy(update={"files": unsized})})
    asked = _claim("task_accuracy", task="mmlu", quantisation="Q4_K_M")
    assert "1.9 GB and data of a size that only the hub knows" in told(
        asked, MODELS, {"mmlu": task}
    )


SERVED = {"runtime": "openai", "device": "server", "quantisation": "served"}


def test_a_hosted_model_costs_requests_and_dollars() -> None:
    asked = _claim(task="tool_chains", n=100, **SERVED)
    asked = asked.model_copy(update={"model": "mistral-medium-3"})
    said = told(asked, MODELS, TASKS)
    assert said == (
        ", with OPENAI_BASE_URL and OPENAI_API_KEY set: some 720 requests, 360,000 tokens of "
        "prompts and 34,560 of answers, $0.21 at the list price of 2025-06-03 (a guess) at "
        "api.mistral.ai or services.ai.azure.com"
    )


def test_a_server_of_ones_own_has_no_price() -> None:
    said = told(_claim(task="bfcl_simple_python", **SERVED), MODELS, TASKS)
    assert "some 50 requests" in said
    assert said.endswith("(a guess) at a server of yours")
    assert "$" not in said


@pytest.mark.parametrize("items", [10, 50])
def test_time_grows_with_the_items(items: int) -> None:
    asked = _claim(task="tool_chains", quantisation="Q4_K_M", n=items)
    (minutes,) = [
        int(word) for word in told(asked, MODELS, TASKS).split("some ")[1].split() if word.isdigit()
    ][:1]
    assert minutes >= items / 10


def test_what_is_looked_up_takes_nothing_worth_telling() -> None:
    assert told(_claim("parameters", n=1), MODELS, TASKS) == ""


def test_the_verdict_on_an_untested_claim_says_it(tmp_path: Path) -> None:
    asked = _claim(task="tool_chains", quantisation="Q4_K_M")
    (verdict,) = judge.judge(tmp_path, [asked], MODELS, TASKS)
    assert verdict.outcome == "not_tested"
    assert told(asked, MODELS, TASKS) in verdict.reason
    assert verdict.command == "harness verify 900-1"
