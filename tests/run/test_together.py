"""Items under way at once: who runs when, and what becomes of what they ask."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import Honest, Steps
from sessions import TASK, cell, planned, runs, samples, session
from workers import SETTINGS

from harness.ask import tasks
from harness.check.runs import check
from harness.check.surroundings import Surroundings
from harness.errors import BadFile
from harness.plan.cells import Cell
from harness.plan.planner import Planned
from harness.prepare.data import fetch
from harness.run.runtimes import Answer, ArtifactRefused, NoRoom, Seen
from harness.run.runtimes.parallel import Question
from harness.run.session import Session
from harness.run.tasks import Item, kind
from harness.run.workloads.respondent import Listener, Put
from harness.run.workloads.together import Together


def items(*ids: str) -> list[Item]:
    return [Item(id_, [], {}) for id_ in ids]


def listener(item: Item, put: Put) -> Listener:
    runtime: Any = Honest()
    return Listener(runtime, runtime.chat_template(), item.id, put=put)


def ask(item: Item, put: Put) -> str:
    """Puts a question for each digit of the item's name, of so many tokens."""
    one = listener(item, put)
    return "-".join(
        one.answer([{"role": "user", "content": item.id}], int(digit)) for digit in item.id
    )


def test_items_end_in_the_order_of_their_work_and_make_room_for_the_next() -> None:
    parallel = Steps()
    found = list(Together(parallel, ask).answers(items("3", "12", "1", "1"), 2))
    assert [item.id for item, _ in found] == ["3", "12", "1", "1"]
    assert [text for _, text in found] == ["xxx", "x-xx", "x", "x"]
    assert parallel.seen == [2, 2, 2, 2]


def test_the_same_items_meet_in_the_same_steps_each_time() -> None:
    def one() -> tuple[list[str], list[int]]:
        parallel = Steps()
        asked = items(*(str(1 + 7 * at % 9) * (1 + at % 3) for at in range(40)))
        found = [item.id for item, _ in Together(parallel, ask).answers(asked, 5)]
        return found, parallel.seen

    assert len({str(one()) for _ in range(5)}) == 1


def test_only_one_item_runs_at_a_time() -> None:
    running: list[str] = []

    def watched(item: Item, put: Put) -> str:
        def seen(question: Question) -> Answer:
            running.remove(item.id)
            answer = put(question)
            assert not running
            running.append(item.id)
            return answer

        assert not running
        running.append(item.id)
        said = ask(item, seen)
        running.remove(item.id)
        return said

    assert len(list(Together(Steps(), watched).answers(items("21", "12", "3", "22"), 3))) == 4


def test_a_refusal_costs_its_item_alone() -> None:
    def refuses(item: Item, put: Put) -> str:
        if item.id == "2":
            raise BadFile("not this one")
        return ask(item, put)

    asked = items("1", "2", "11111111111", "3")
    told = {item.id: answer for item, answer in Together(Steps(9), refuses).answers(asked, 3)}
    assert (told["1"], told["3"]) == ("x", "xxx")
    assert isinstance(told["2"], BadFile)
    assert isinstance(told["11111111111"], NoRoom)


def test_an_item_may_get_over_a_refusal() -> None:
    def tries(item: Item, put: Put) -> str:
        try:
            return ask(item, put)
        except NoRoom:
            return "too long"

    ((_, text),) = Together(Steps(9), tries).answers(items("11111111111"), 2)
    assert text == "too long"


def test_what_is_no_refusal_ends_the_worker() -> None:
    def breaks(item: Item, put: Put) -> str:
        raise ZeroDivisionError(item.id)

    with pytest.raises(ZeroDivisionError, match="7"):
        list(Together(Steps(), breaks).answers(items("7", "8"), 2))


def test_an_item_with_images_is_refused() -> None:
    def looks(item: Item, put: Put) -> str:
        put(Question(Seen([1], 1, None), 1))
        return ""

    ((_, refused),) = Together(Steps(), looks).answers(items("1"), 2)
    assert isinstance(refused, ArtifactRefused)


def test_no_more_threads_are_alive_than_items_under_way() -> None:
    before, most = threading.active_count(), 0
    for _ in Together(Steps(), ask).answers(items(*"12345" * 20), 4):
        most = max(most, threading.active_count() - before)
    assert most <= 5  # one may be on its way out


def together(results: Path, n: int, **changes: Any) -> tuple[Session, list[Planned]]:
    """A session of a task of `n` items, three under way at once."""
    one = session(results)
    (plan,) = planned(one, (cell(TASK, "Several", parallel=3), n))
    settings = replace(SETTINGS, options=SETTINGS.options | {"parallel": 3})
    return one, [replace(plan, settings=settings, **changes)]


def questions(n: int) -> list[str]:
    task = tasks.load()[TASK]
    found = kind(task.kind).items(task, fetch(task.source), n)
    return [item.messages[-1]["content"] for item in found]


@pytest.mark.usefixtures("cache")
def test_an_item_that_ends_the_worker_is_found_and_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", questions(8)[4])
    one, plan = together(tmp_path, 8)
    assert one.run(plan) == []
    run = runs(tmp_path)[f"{TASK} Several"]
    taken = samples(tmp_path, run)
    assert [one.cause for one in taken].count("crashed") == run.failed == 1
    assert len({one.item for one in taken}) == len(taken) == 8


@pytest.mark.usefixtures("cache")
def test_items_that_are_on_disk_are_not_asked_again(tmp_path: Path) -> None:
    one, plan = together(tmp_path, 6)
    said = list[str]()

    def stop(text: str, seconds: float) -> None:
        said.append(text)
        if len(said) == 4:
            raise KeyboardInterrupt

    one.say = stop
    with pytest.raises(KeyboardInterrupt):
        one.run(plan)
    one.say = lambda text, seconds: said.append(text)
    assert one.run(plan) == []
    assert len(said) == 6
    taken = samples(tmp_path, runs(tmp_path)[f"{TASK} Several"])
    assert len({one.item for one in taken}) == 6


@pytest.mark.usefixtures("cache")
def test_seconds_of_items_that_were_under_way_together_add_up(tmp_path: Path) -> None:
    one, plan = together(tmp_path, 6)
    start = time.monotonic()
    assert one.run(plan) == []
    passed = time.monotonic() - start
    run = runs(tmp_path)[f"{TASK} Several"]
    assert sum(one.seconds for one in samples(tmp_path, run)) <= passed
    assert check(tmp_path / run.machine / run.id, Surroundings(tmp_path)) == []


def test_what_is_asked_together_is_another_cell_than_what_claims_rest_on() -> None:
    alone, several = cell(TASK, "Honest"), cell(TASK, "Honest", parallel=3)
    assert alone != several
    assert several.name == f"{alone.name}_parallel-3"
    assert "parallel" not in alone.model_dump(mode="json")
    assert Cell.model_validate(several.model_dump(mode="json")) == several
