"""Long texts: what is in them, how long they are for a real tokenizer, what answers are worth."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llamas
import pytest
from pydantic import ValidationError

from harness.ask import tasks
from harness.ask.lengths import within
from harness.ask.tasks import Task
from harness.errors import BadFile, UserError
from harness.run.runtimes import settings_for
from harness.run.tasks import Item, long_context, long_facts
from harness.run.tasks.filler import sentences
from harness.run.tasks.long_context import fitted, score
from harness.run.workloads.respondent import Listener

ROOT = Path(__file__).parents[3]
TASKS = {
    name: task for name, task in tasks.load(ROOT / "tasks").items() if task.kind == "long_context"
}
EACH = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
LENGTHS = [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072]


def items(task: Task, context: int = 4096, count: int = 30) -> list[Item]:
    return long_context.items(within(task, context), Path(), count)


def words(messages: Sequence[dict[str, Any]]) -> int:
    return len(messages[0]["content"].split())


def text(item: Item, answer: int = 64) -> str:
    """What a model is shown whose tokens are words."""
    return str(fitted(item, answer, words)[0]["content"])


@pytest.fixture(scope="module")
def smollm2(smollm2: Path) -> Listener:
    """SmolLM2's tokenizer and chat template. Its weights are mapped and never read."""
    runtime = llamas.new()
    runtime.load(str(smollm2), settings_for("llama.cpp", "cpu", 1, 512))
    return Listener(runtime, runtime.chat_template(), "item")


@pytest.fixture(scope="module")
def longest(smollm2: Listener) -> int:
    """The most tokens that a sentence of the filler takes."""

    def tokens(text: str) -> int:
        return smollm2.prompt_tokens([{"role": "user", "content": text}])

    return max(map(tokens, itertools.islice(sentences("any"), 300))) - tokens("")


@EACH
def test_a_prompt_fills_its_length_but_for_less_than_a_sentence(
    task: Task, smollm2: Listener, longest: int
) -> None:
    for item in [*items(task, 8192, 8), *items(task, 1024, 3)]:
        room = item.payload["length"] - task.max_new_tokens
        used = smollm2.prompt_tokens(fitted(item, task.max_new_tokens, smollm2.prompt_tokens))
        assert room - longest < used <= room


@EACH
def test_the_same_question_is_asked_at_each_length(task: Task) -> None:
    assert task.options.model_dump()["lengths"] == LENGTHS
    first, second = items(task, 131072, 16)[:8], items(task, 131072, 16)[8:]
    for at, group in ((0, first), (1, second)):
        assert [item.facets for item in group] == [{"length": str(one)} for one in LENGTHS]
        assert [item.id for item in group] == [f"{one}-{at:03}" for one in LENGTHS]
        assert {item.group for item in group} == {f"{at:03}"}
        assert len({str((item.messages, item.payload["facts"])) for item in group}) == 1
    assert text(first[1]).startswith(
        text(first[0])[:500]
    )  # the longer text goes on from the shorter


@EACH
def test_a_context_holds_some_lengths_and_leaves_their_items_as_they_are(task: Task) -> None:
    assert within(task, 131072) == task
    held = within(task, 4100)
    assert held.rows.available == 300
    assert {item.facets["length"] for item in items(task, 4100)} == {"1024", "2048", "4096"}
    every = {item.id: item for item in items(task, 131072, 800)}
    assert all(every[item.id] == item for item in items(task, 4100))
    with pytest.raises(UserError, match="shortest text takes 1024 tokens, the context is 1023"):
        within(task, 1023)


@EACH
def test_a_prompt_without_its_places_and_too_many_items_are_refused(task: Task) -> None:
    for prompt in ("{{ text }}", "{{ question }}", "{{ text }} {{ text }} {{ question }}"):
        with pytest.raises(BadFile, match="prompt"):
            long_context.items(task.model_copy(update={"prompt": prompt}), Path(), 1)
    rows = task.rows.model_copy(update={"available": 801})
    with pytest.raises(BadFile, match="multiple"):
        long_context.items(task.model_copy(update={"rows": rows}), Path(), 1)
    with pytest.raises(UserError, match="rows"):
        items(task, 2048, 201)


def test_other_tasks_are_as_they_are_in_any_context() -> None:
    other = tasks.load(ROOT / "tasks")["tool_chains"]
    assert within(other, 1) is other


@EACH
def test_texts_are_the_same_on_every_machine(task: Task) -> None:
    """A changed digest means other questions: raise the kind's VERSION with it."""
    made = "".join(text(item) for item in items(task, 2048, 6))
    assert hashlib.sha256(made.encode()).hexdigest()[:16] == TEXTS[task.name]


TEXTS = {
    "multi_hop": "8349377f13f9b5ca",
    "multi_key": "3021c394397dd82b",
    "needle": "46156c071a743ee7",
    "variable_tracking": "9a35311365a63d19",
}


@pytest.mark.parametrize("name", ["needle", "multi_key", "multi_hop"])
def test_the_answer_stands_in_the_prompt_just_once(name: str) -> None:
    for item in items(TASKS[name]):
        (answer,) = item.payload["references"]
        assert text(item).count(answer) == 1
        facts = [fact for _, fact in item.payload["facts"]]
        assert all(text(item).count(fact) == 1 for fact in facts)


def test_needles_lie_at_evenly_spread_depths() -> None:
    depths = [long_context.depth(number) for number in range(100)]
    for count in (4, 10, 25, 100):
        near = [sum(depth < edge / 4 for depth in depths[:count]) for edge in range(5)]
        assert all(abs(count * edge / 4 - found) <= 2 for edge, found in enumerate(near))
    for item in items(TASKS["needle"], 8192, 40):
        (asked, fact), shown = item.payload["facts"][0], text(item)
        assert abs(shown.index(fact) / len(shown) - asked) < 0.1


def test_facts_at_one_depth_keep_their_order() -> None:
    item = Item("x", [{"role": "user", "content": "{{ text }}"}], {"length": 100, "filler": "a"})
    item.payload["facts"] = [[0.5, "First."], [0.5, "Second."], [1.0, "Last."], [0.0, "Begin."]]
    assert text(item).startswith("Begin. ")
    assert "First. Second. " in text(item)
    assert text(item).endswith(" Last.")


def interpreted(said: str) -> dict[str, str]:
    """What each variable holds after a run through the text, sentence by sentence."""
    held: dict[str, str] = {}
    for name, what in re.findall(r"Set ([A-Z]{5}) to (\w+)\.", said):
        held[name] = what if what.isdigit() else held[what]
    return held


def test_a_chain_of_variables_gives_the_references_their_value() -> None:
    for item in items(TASKS["variable_tracking"]):
        held = interpreted(text(item))
        (value,) = re.findall(r"have the value (\d{5})", item.messages[0]["content"])
        assert held == dict.fromkeys(item.payload["references"], value)
        assert len(held) == long_facts.HOPS + 1


def test_a_multi_hop_question_is_answered_by_joining_three_facts() -> None:
    for item in items(TASKS["multi_hop"]):
        shown, question = text(item), item.messages[0]["content"]
        (animal,) = re.findall(r"the owner of the ([\w ]+) lives", question)
        (owner,) = re.findall(rf"The {animal} belongs to (\w+)\.", shown)
        (town,) = re.findall(rf"{owner} lives in the town of (\w+)\.", shown)
        assert (
            re.findall(rf"The gate code of {town} is (\d+)\.", shown) == item.payload["references"]
        )
        assert len(re.findall(r"The gate code of", shown)) == long_facts.KEYS


def test_each_other_key_may_be_taken_for_the_one_asked() -> None:
    for item in items(TASKS["multi_key"]):
        said = [re.findall(r"of the (\w+) (\w+) is", fact)[0] for _, fact in item.payload["facts"]]
        assert len(set(said)) == len(said) == long_facts.KEYS
        colour, animal = said[0]
        assert sum(colour in one or animal in one for one in said) == 3


def test_filler_holds_no_figure_and_no_word_of_a_fact() -> None:
    made = list(itertools.islice(sentences("1"), 5000))
    found = set(re.findall(r"[a-z]+", " ".join(made).lower()))
    facts = [
        fact
        for maker in long_facts.MAKERS.values()
        for number in range(200)
        for _, fact in maker(random.Random(number), 0.5).facts
    ]
    spoken = set(re.findall(r"[A-Z]?[a-z]{3,}", " ".join(facts)))
    assert {word.lower() for word in spoken} & found == {"the"}
    assert not re.search("[0-9]", " ".join(made))
    assert len(set(made)) > 4990
    assert made[:9] != list(itertools.islice(sentences("2"), 9))
    assert min(len(one.split()) for one in made) > long_context._SHORTEST


def item_with(*references: str) -> Item:
    return Item("1024-000", [], {"references": list(references)})


@pytest.mark.parametrize(
    ("references", "output", "outcome", "detail"),
    [
        (("1234567",), "The code is 1234567.", "right", "1 of 1"),
        (("1234567",), "1,234,567", "none_found", "0 of 1; not 1234567"),
        (("1234567",), " \n\t", "empty", "0 of 1; not 1234567"),
        (("1234567",), "7654321 or 1234567", "right", "1 of 1"),
        (("BCDFG", "HJKLM"), "bcdfg and hjklm", "right", "2 of 2"),
        (("BCDFG", "HJKLM"), "HJKLM\nHJKLM", "some_found", "1 of 2; not BCDFG"),
        (("BCDFG", "HJKLM"), "B C D F G, HJKL", "none_found", "0 of 2; not BCDFG, HJKLM"),
        (("BCDFG",), "\x00\ud800BCDFG" * 1000, "right", "1 of 1"),
    ],
)
def test_all_references_in_any_case_make_an_answer_right(
    references: tuple[str, ...], output: str, outcome: str, detail: str
) -> None:
    found = score(item_with(*references), output)
    assert (found.outcome, found.detail, found.correct) == (outcome, detail, outcome == "right")


def test_a_length_that_the_question_alone_exceeds_is_refused() -> None:
    item = items(TASKS["multi_hop"])[0]
    with pytest.raises(BadFile, match="1024-000: the question alone takes more than 20 tokens"):
        fitted(item, 1004, words)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"made": "needle", "lengths": [2048, 1024]}}, "rise"),
        ({"options": {"made": "needle", "lengths": []}}, "at least 1"),
        ({"options": {"made": "haystack", "lengths": [1024]}}, "made"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    good = TASKS["needle"].model_dump()
    with pytest.raises(ValidationError, match=message):
        Task.model_validate(good | change)
