"""What a task's kind may ask of a model, on real and on tiny models, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llamas
import pytest
from fakes import Honest
from sessions import TASK, cell, planned, runs, samples, session

from harness.run.gates import gates
from harness.run.records import ItemData
from harness.run.runtimes import Answer, ArtifactRefused, settings_for
from harness.run.workloads.respondent import Listener, sha256

QUESTION = [{"role": "user", "content": "List the first five planets, one on each line."}]


class Counts(Honest):
    """Says "1 2 3 .." as far as it is let."""

    def evaluate(self, prompt: Any, new_tokens: int, **asked: Any) -> Answer:
        tokens = list(" ".join(map(str, range(1, 200))).encode())[:new_tokens]
        stop = asked.get("stop") or (lambda tokens: False)
        kept = next((n for n in range(1, new_tokens + 1) if stop(tokens[:n])), None)
        answer = super().evaluate(prompt, new_tokens, stop_at_end=True)
        changes = {"tokens": tokens[:kept], "stopped": "stop" if kept else "length"}
        return Answer(**(vars(answer) | changes))


def listener(runtime: Honest | None = None) -> Listener:
    one = runtime or Counts()
    return Listener(one, one.chat_template(), "item")


@pytest.mark.parametrize(
    ("stop", "said", "ended"),
    [
        ((), "1 2 3 4 5 ", "length"),
        ((" 4",), "1 2 3", "stop"),
        (("4 5", "3"), "1 2 ", "stop"),
        (("9",), "1 2 3 4 5 ", "length"),
    ],
)
def test_an_answer_ends_before_the_first_stop(stop: tuple[str, ...], said: str, ended: str) -> None:
    one = listener()
    assert one.answer(QUESTION, 10, stop=stop) == said
    assert one.turns[0]["stopped"] == ended
    assert one.turns[0]["new_tokens"] == len(said) + (len(stop[-1]) if ended == "stop" else 0)


def test_each_request_is_kept_in_order_and_heard() -> None:
    runtime, heard = Counts(), list[int]()
    one = Listener(runtime, runtime.chat_template(), "item", lambda: heard.append(len(one.turns)))
    said = one.answer(QUESTION, 3)
    more = [*QUESTION, {"role": "assistant", "content": said}, *QUESTION]
    one.answer(more, 5)
    text = QUESTION[0]["content"]
    assert [turn["prompt_sha256"] for turn in one.turns] == [
        sha256(text),
        sha256(text + said + text),
    ]
    assert [turn["new_tokens"] for turn in one.turns] == [3, 5]
    assert heard == [1, 2]


def test_tools_go_to_the_models_own_template() -> None:
    one = Listener(Honest(), "{{ tools[0].name }}{{ messages[0].content }}", "item")
    one.answer(QUESTION, 1, tools=[{"name": "area"}])
    assert one.turns[0]["prompt_sha256"] == sha256("area" + QUESTION[0]["content"])


def test_a_template_that_ignores_tools_is_refused() -> None:
    """The model would be asked without them, and its silence would count as an abstention."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    with pytest.raises(ArtifactRefused, match="shows no tools"):
        Listener(Counts(), "{{ messages[0].content }}", "item").answer(QUESTION, 3, tools=tools)


def test_a_kind_may_ask_an_item_more_than_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "sitecustomize.py").write_text(
        "from harness.run.tasks import tool_calls\n"
        "def twice(task, item, respondent):\n"
        "    first = respondent.answer(item.messages, 2)\n"
        "    said = {'role': 'assistant', 'content': first}\n"
        "    return first + respondent.answer([*item.messages, said], 3)\n"
        "tool_calls.ask = twice\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(plugins), prepend=":")
    one = session(tmp_path / "results")
    one.run(planned(one, (cell(TASK, "Honest"), 1)))
    run = runs(tmp_path / "results")[f"{TASK} Honest"]
    (sample,) = samples(tmp_path / "results", run)
    assert isinstance(sample.data, ItemData)
    (later,) = sample.data.later
    assert (sample.data.new_tokens, later.new_tokens) == (2, 3)
    assert later.prompt_tokens == sample.data.prompt_tokens + 2
    assert sample.data.output == "xxxxx"
    wrong = later.model_copy(update={"evaluated_tokens": 1})
    data = sample.data.model_copy(update={"later": [wrong]})
    checked = gates(run.cell, run.settings, None, [sample.model_copy(update={"data": data})])
    assert {gate.name: gate.passed for gate in checked}["evaluated tokens"] is False


def test_a_real_model_stops_at_a_line_break(smollm2: Path) -> None:
    """And says until there what it says without a stop."""
    runtime = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 2, 512))
    one = Listener(runtime, runtime.chat_template(), "item")
    whole = one.answer(QUESTION, 40)
    assert "\n" in whole
    assert one.answer(QUESTION, 40, stop=("\n",)) == whole.split("\n")[0]
    assert one.turns[1]["stopped"] == "stop"
    assert one.turns[1]["new_tokens"] < one.turns[0]["new_tokens"]
