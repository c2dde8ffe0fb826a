"""The task kind "text_windows": held to the plain library's cross-entropy, with real weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llamas
import numpy as np
import pytest
import torch

from harness.ask import tasks
from harness.ask.task_options import TextWindows
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.plan.cells import Cell
from harness.prepare import data
from harness.run.gates import gates
from harness.run.protocol import Request
from harness.run.records import ItemData, Sample
from harness.run.runtimes import RUNTIMES, Likelihoods, settings_for
from harness.run.runtimes.transformers import Transformers
from harness.run.tasks import text_windows
from harness.run.workloads import items
from harness.run.workloads.respondent import Listener

WINDOW = 64


@pytest.fixture
def task() -> Task:
    found = tasks.load()["news_from_nowhere"]
    options = TextWindows(kind="text_windows", window=WINDOW)
    return found.model_copy(update={"options": options})


@pytest.fixture
def text(task: Task) -> str:
    return data.fetch(task.source).read_text()[:20_000]


def expected(model: Transformers, text: str, at: int) -> tuple[list[float], list[int]]:
    """By the definition, from one plain pass over the window: tokens half + 1 to the last."""
    tokenizer = model._need_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=True)[at * WINDOW : (at + 1) * WINDOW]
    with torch.inference_mode():
        logits = model._model(torch.tensor([ids])).logits[0].log_softmax(-1)
    places = range(WINDOW // 2, WINDOW - 1)
    return (
        [float(logits[place, ids[place + 1]]) for place in places],
        [int(logits[place].argmax()) for place in places],
    )


def test_a_window_is_scored_as_by_the_plain_library(
    dequantised: Transformers, smollm2: Path, text: str
) -> None:
    """And llama.cpp, which rounds activations to 8 bits, is near."""
    llama = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 2, 256))
    runtimes: list[Any] = [dequantised, llama]
    for at in (0, 3):
        logprobs, likeliest = expected(runtimes[0], text, at)
        turns = []
        for runtime in runtimes:
            listener = Listener(runtime, "", "item")
            found = listener.window(text, at, WINDOW)
            turns += listener.turns
            assert [one for one, _ in found] == listener.turns[0]["logprobs"][0]
        exact, near = turns
        np.testing.assert_allclose(exact["logprobs"][0], logprobs, atol=1e-3)
        assert exact["likeliest"] == [likeliest]
        assert exact["prompt_ids_sha256"] == near["prompt_ids_sha256"]
        assert abs(np.mean(near["logprobs"][0]) - np.mean(logprobs)) < 0.1
        same = np.array(near["likeliest"][0]) == np.array(likeliest)
        assert same.mean() > 0.75
        assert [turn["prompt_tokens"] for turn in turns] == [WINDOW - 1] * 2


PERPLEXITY = (38.6381, 38.2502)
"""What llama-perplexity says of this file and text after one window and after two: `-c 512 -b 512
-fa on`, compiled from the sources of llama-cpp-python 0.3.36 and run with its libraries."""


def test_llamacpp_says_what_llama_perplexity_says(smollm2: Path, task: Task) -> None:
    runtime = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 2, 1024))
    whole = data.fetch(task.source).read_text()
    logprobs: list[float] = []
    for at, recorded in enumerate(PERPLEXITY):
        found = Listener(runtime, "", "item").window(whole, at, 512)
        logprobs += [one for one, _ in found]
        # Another processor adds up in another order.
        assert math.exp(-np.mean(logprobs)) == pytest.approx(recorded, rel=0.002)


class Numbers:
    """A tokenizer of numbers that begins a text with token 1, and a model that expects 7."""

    def __init__(self, starts: bool) -> None:
        self._start = [1] if starts else []
        self.asked: list[Any] = []

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return [*(self._start if special else []), *map(int, text.split())]

    def likelihoods(self, prefix: list[int], options: Sequence[list[int]]) -> Likelihoods:
        self.asked = [prefix, *options]
        places = [len(option) for option in options]
        logprobs = [[-1.0] * count for count in places]
        return Likelihoods(logprobs, [[7] * count for count in places], 1, 0)


@pytest.mark.parametrize(
    ("starts", "at", "prefix", "rest"),
    [
        (False, 0, [10, 11, 12], [13]),
        (False, 1, [14, 7, 16], [7]),
        (True, 0, [1, 10, 11], [12]),
        (True, 1, [1, 14, 7], [16]),  # 13 gives its place to the start
    ],
)
def test_a_window_begins_as_a_text_does(
    starts: bool, at: int, prefix: list[int], rest: list[int]
) -> None:
    runtime: Any = Numbers(starts)
    found = Listener(runtime, "", "item").window("10 11 12 13 14 7 16 7", at, 4)
    assert runtime.asked == [prefix, rest]
    assert found == [(-1.0, rest == [7])]


def test_a_text_that_ends_before_its_window_is_refused() -> None:
    runtime: Any = Numbers(False)
    with pytest.raises(BadFile, match="item 001: the text is over after 7 tokens"):
        Listener(runtime, "", "001").window("10 11 12 13 14 15 16", 1, 4)


def test_the_worker_records_tokens_and_the_gates_pass(smollm2: Path) -> None:
    known = tasks.load()["news_from_nowhere"]
    settings = settings_for("llama.cpp", "cpu", 2, 1024)
    request = Request(
        workload="",
        runtime=RUNTIMES["llama.cpp"].target,
        artifact=str(smollm2),
        settings=settings,
        task=known.name,
        task_data=str(data.fetch(known.source)),
        limit=1,
    )

    class Silent:
        def send(self, kind: str, **content: Any) -> None:
            sent[kind] = content

    sent: dict[str, Any] = {}
    channel: Any = Silent()
    (answer,) = items.measure(request, channel)
    found = ItemData.model_validate(answer | sent["applied"])
    ((*logprobs,),) = found.logprobs
    assert [len(logprobs), len(found.likeliest[0])] == [255, 255]
    said = json.loads(found.output)
    assert said["tokens"] == 255
    assert said["logprob"] == pytest.approx(np.mean(logprobs))
    assert found.value == pytest.approx(said["likeliest"] / 255)
    assert 10 < math.exp(-said["logprob"]) < 100
    assert found.detail == f"perplexity {math.exp(-said['logprob']):.4g}"
    sample = Sample(index=0, item=found.item, started="", seconds=1, data=found)
    cell = Cell(task=known.name, device="cpu")
    assert all(gate.passed for gate in gates(cell, settings, None, [sample]))


def test_the_text_is_the_one_that_the_task_names(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = data.fetch(task.source, offline=True)
    assert data.need(task.source).present
    assert len(text_windows.items(task, path, None)) == task.rows.planned
    first, *_ = text_windows.items(task, path, 2)
    assert first.id == f"{first.payload['window']:03}"
    for folder in ("claims", "tasks/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "models.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadFile, match="cannot be read"):
        data.fetch(task.source)
    (tmp_path / "tasks" / "data" / path.name).write_text("another text")
    with pytest.raises(BadFile, match="not the text"):
        data.fetch(task.source)
