"""From claims to the fewest cells; what can't be done is told before anything is written."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import home, prepare
from harness.ask import models, tasks
from harness.ask.claims import Claim
from harness.ask.models import Artifact
from harness.errors import NotEnough, UnknownName, UserError
from harness.plan import planner as planning
from harness.plan.cells import Cell
from harness.plan.estimate import Probe
from harness.plan.planner import Planned, Planner, key, probe_key
from harness.run.runtimes import RUNTIMES
from harness.run.tasks import tool_calls
from harness.run.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
MODELS = models.load(ROOT / "models.yaml")
TASKS = tasks.load(ROOT / "tasks")
TASK = "bfcl_simple_python"
SPEED = Cell(
    workload="speed",
    model="smollm2-135m-instruct",
    quantisation="Q4_1",
    runtime="llama.cpp",
    device="cpu",
)
ITEMS = SPEED.model_copy(update={"workload": None, "task": TASK})
FACTS = Cell(workload="facts", model="smollm2-135m-instruct")
PANEL = Cell(workload="panel", page="002")


def cell(**changes: Any) -> Cell:
    return SPEED.model_copy(update=changes)


def test_a_cell_that_claims_share_runs_once_with_the_largest_n(
    planner: Planner, known: dict[str, Claim]
) -> None:
    rate, first = known["smoke-rate"], known["smoke-first"]
    assert rate.rule is not None
    few = rate.model_copy(update={"rule": rate.rule.model_copy(update={"n": 3})})
    plan = planner.plan([few, first])
    assert [(one.n, one.claims) for one in plan.cells] == [(6, ("smoke-rate", "smoke-first"))]
    assert planner.plan([first, few]).cells[0].n == 6


def test_every_claim_is_planned_and_no_cell_twice(
    planner: Planner, known: dict[str, Claim]
) -> None:
    plan = planner.plan(list(known.values()))
    cells = [one.cell for one in plan.cells]
    assert len(set(cells)) == len(cells)
    planned = {name for one in plan.cells for name in one.claims}
    assert planned == {claim.id for claim in known.values() if claim.rule}
    assert plan.seconds > 0


def test_facts_and_panels_come_once(planner: Planner, known: dict[str, Claim]) -> None:
    plan = planner.plan([known["002-19"], known["smoke-size"]])
    assert [one.n for one in plan.cells] == [1, 1]


def test_what_will_be_fetched_is_listed(planner: Planner, known: dict[str, Claim]) -> None:
    """The header of a real artifact is a fact, and a task brings its data."""
    plan = planner.plan([known["smoke-size"], known["smoke-tools"]])
    assert set(plan.needs) == {"smollm2-135m-instruct Q4_1", f"data of {TASK}"}
    assert plan.needs[f"data of {TASK}"].download_bytes == TASKS[TASK].source.wheel_bytes
    assert all(need.download_bytes for need in plan.needs.values())


def test_facts_are_not_worth_a_download_from_a_hub() -> None:
    """Its header would say little more than models.yaml, and `verify` would need the hub."""
    artifact = Artifact.model_validate(
        {
            "format": "gguf",
            "quantisation": "Q8_0",
            "source": {
                "kind": "hub",
                "repo": "some-org/tiny",
                "revision": None,
                "files": [{"name": "tiny.gguf", "sha256": None, "bytes": None}],
            },
        }
    )
    model = MODELS["smollm2-135m-instruct"]
    first = model.model_copy(update={"artifacts": [artifact, *model.artifacts]})
    planned = Planner({model.id: first}, TASKS, {}).planned(FACTS, 1)
    assert planned.artifact == model.artifacts[0]
    alone = model.model_copy(update={"artifacts": [artifact]})
    assert Planner({model.id: alone}, TASKS, {}).planned(FACTS, 1).artifact is None
    speed = Planner({model.id: alone}, TASKS, {}).planned(cell(quantisation="Q8_0"), 1)
    assert speed.need == prepare.Need(present=False, download_bytes=None, disk_bytes=None)


def test_a_full_disk_is_told_with_both_figures(
    planner: Planner, known: dict[str, Claim], room: SimpleNamespace
) -> None:
    room.disk = 1 << 20
    figures = r"not enough disk: [\d.]+ GiB needed, 0\.00 GiB there; free some"
    with pytest.raises(NotEnough, match=figures):
        planner.plan([known["002-13"]])
    with pytest.raises(NotEnough, match=figures):
        planner.plan([known["smoke-size"]])
    assert planner.plan([known["002-19"]]).cells  # a panel needs no room


def test_too_little_memory_is_a_problem_of_the_cell(
    planner: Planner, known: dict[str, Claim], room: SimpleNamespace
) -> None:
    room.memory = 1 << 30
    plan = planner.plan([known["002-13"], known["002-04-fit"], known["smoke-rate"]])
    problems = {one.cell.name: one.problem for one in plan.cells if one.problem}
    assert len(problems) == 2
    for problem in problems.values():
        assert problem and problem.startswith("not enough memory: ") and "1.00 GiB there" in problem
    capped = [one.problem for one in plan.cells if one.cell.memory_limit]
    assert capped == [None] * 3  # what a cap allows is what they are to show
    assert {name.split()[0] for name in plan.needs} == {"smollm3-3b", "smollm2-135m-instruct"}


def test_unknown_memory_stops_nothing(planner: Planner, room: SimpleNamespace) -> None:
    room.memory = None
    assert planner.planned(SPEED, 5).problem is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "smollm3"}, "unknown model 'smollm3': did you mean smollm3-3b"),
        ({"runtime": "llama-cpp"}, r"unknown runtime 'llama-cpp': did you mean llama\.cpp"),
        ({"device": "vulcan"}, "unknown device 'vulcan': did you mean vulkan"),
        ({"quantisation": "Q4_2"}, "unknown quantisation of smollm2-.* 'Q4_2': did you mean Q4_1"),
        ({"workload": None, "task": "bfcl"}, "unknown task 'bfcl': did you mean bfcl_"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(
    planner: Planner, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownName, match=message):
        planner.planned(cell(**changes), 5)


def test_synthetic_weights_get_no_task(planner: Planner) -> None:
    asked = ITEMS.model_copy(update={"model": "smollm3-3b", "quantisation": "Q4_0"})
    assert planner.planned(asked, 5).problem == "synthetic weights say nothing of accuracy"


def test_a_context_beyond_the_models_window_is_a_problem(planner: Planner) -> None:
    asked = cell(workload="memory", context=8193)
    problem = planner.planned(asked, 3).problem
    assert problem == "8193 tokens asked for; the window of smollm2-135m-instruct is 8192"
    assert planner.planned(cell(workload="memory", context=8192), 3).problem is None


def test_a_device_that_the_runtime_cannot_use_is_a_problem(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is run: a sample would say no more, and be found again once it can."""
    monkeypatch.setattr(planning, "absent", lambda *asked: f"none: {', '.join(asked)}")
    assert planner.planned(cell(device="vulkan"), 3).problem == "none: llama.cpp, vulkan"


@pytest.mark.parametrize(
    "changes", [{"workload": "memory", "context": 2048}, {"memory_limit": 1 << 30}]
)
def test_a_gpus_memory_is_not_seen(
    planner: Planner, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "absent", lambda *_: None)
    problem = planner.planned(cell(**changes, device="vulkan"), 3).problem
    assert problem == "what lies in the memory of vulkan is neither watched nor limited here"
    assert planner.planned(cell(**changes), 3).problem is None
    assert planner.planned(cell(device="vulkan"), 3).problem is None


def test_a_runtime_that_does_not_read_the_artifact_is_a_problem(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(RUNTIMES["llama.cpp"], formats=("coreml",))
    monkeypatch.setitem(RUNTIMES, "other", other)
    assert planner.planned(cell(runtime="other"), 3).problem == "other does not read gguf"


def test_a_runtime_that_is_not_installed_says_how_to_get_it(
    planner: Planner, monkeypatch: pytest.MonkeyPatch, known: dict[str, Claim]
) -> None:
    absent = replace(RUNTIMES["llama.cpp"], distributions=("no-such-distribution",))
    monkeypatch.setitem(RUNTIMES, "llama.cpp", absent)
    plan = planner.plan([known["smoke-rate"]])
    assert plan.cells[0].problem == "llama.cpp is not here; pip install 'claimbench[llamacpp]'"
    assert plan.needs == {}  # nothing is fetched for what can't run
    facts = planner.planned(FACTS, 1)
    assert (facts.artifact, facts.problem) == (None, None)


def test_the_shape_follows_the_probe_of_that_very_artifact(room: SimpleNamespace) -> None:
    model = MODELS["smollm2-135m-instruct"]
    name = probe_key(SPEED, model, model.artifacts[0])
    on_gpu = probe_key(SPEED.model_copy(update={"device": "cuda"}), model, model.artifacts[0])
    assert on_gpu != name
    for rate, repeats in ((500.0, 2), (12.0, 1)):
        probe = Probe(load_seconds=1, prefill_rate=10 * rate, decode_rate=rate)
        found = Planner(MODELS, TASKS, {name: probe}).planned(SPEED, 5).shape
        assert found is not None and found.repeats == repeats


def test_the_context_has_room_for_what_is_run(planner: Planner) -> None:
    long = planner.planned(cell(prompt_tokens=4000), 3)
    assert long.settings is not None and long.shape is not None
    assert (long.shape.prompt_tokens, long.settings.context) == (4000, 4096)
    short = planner.planned(SPEED, 3)
    assert short.settings is not None and short.settings.context == 2048


@pytest.mark.parametrize(
    ("model", "attention"), [("paligemma-2-3b", "eager"), ("gemma-3-4b-it", "sdpa")]
)
def test_transformers_is_asked_for_what_the_architecture_can_do(
    planner: Planner, model: str, attention: str
) -> None:
    asked = cell(workload="memory", model=model, quantisation="bf16", runtime="transformers")
    found = planner.planned(asked, 1)
    assert found.settings is not None
    assert found.settings.options == {"dtype": "bfloat16", "attention": attention}


@pytest.mark.parametrize(("task", "room"), [("gsm8k", 4096), ("bfcl_multi_turn_base", 8192)])
def test_a_task_says_where_it_needs_more_room_than_others(
    planner: Planner, task: str, room: int
) -> None:
    asked = cell(workload=None, task=task)
    found = planner.planned(asked, 3)
    assert found.settings is not None and found.settings.context == room
    told = planner.planned(asked.model_copy(update={"context": 1024}), 3)
    assert told.settings is not None and told.settings.context == 1024


class TestKey:
    """The key changes with all that could change a result, and with nothing else."""

    @pytest.fixture(autouse=True)
    def _here(self, planner: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        self.planner = planner

    def planned(self, asked: Cell = SPEED, **changes: Any) -> Planned:
        return replace(self.planner.planned(asked, 5), **changes)

    def key(self, planned: Planned | None = None, models: Any = MODELS, tasks: Any = TASKS) -> str:
        return key(planned or self.planned(), models, tasks)

    @pytest.mark.parametrize("asked", [SPEED, ITEMS, FACTS, PANEL], ids=lambda one: one.name)
    def test_not_with_n_claim_or_cost(self, asked: Cell) -> None:
        planned = self.planned(asked)
        same = replace(planned, n=99, claims=("another",), seconds=9.0, memory_bytes=7, need=None)
        assert self.key(same) == self.key(planned) == self.key(self.planned(asked))

    def test_with_each_setting_and_the_shape(self) -> None:
        planned = self.planned()
        assert planned.settings is not None and planned.shape is not None
        keys = {self.key(planned)}
        other = {bool: lambda v: not v, int: lambda v: v + 1, str: lambda v: v + "x"}
        for name, value in planned.settings.flat().items():
            own = name in planned.settings.options
            change: dict[str, Any] = {name: other[type(value)](value)}
            if own:
                change = {"options": planned.settings.options | change}
            changed = replace(planned.settings, **change)
            keys.add(self.key(replace(planned, settings=changed)))
        for name, value in vars(planned.shape).items():
            changed_shape = replace(planned.shape, **{name: value + 1})
            keys.add(self.key(replace(planned, shape=changed_shape)))
        assert len(keys) == 1 + 9 + 4

    def test_with_the_artifacts_bytes(self) -> None:
        artifact = MODELS["smollm3-3b"].artifacts[0]
        planned = self.planned(cell(model="smollm3-3b", quantisation="Q4_0"))
        source = artifact.source.model_copy(update={"seed": 2})
        other = replace(planned, artifact=artifact.model_copy(update={"source": source}))
        assert self.key(other) != self.key(planned)

    def test_with_the_runtimes_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = {one.name: self.key(self.planned(one)) for one in (SPEED, ITEMS, FACTS, PANEL)}
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.9")
        after = {one.name: self.key(self.planned(one)) for one in (SPEED, ITEMS, FACTS, PANEL)}
        assert [before[name] != after[name] for name in before] == [True, True, True, False]

    @pytest.mark.parametrize(
        ("asked", "name"), [(SPEED, "speed"), (ITEMS, "items"), (PANEL, "panel")]
    )
    def test_with_the_protocol(
        self, asked: Cell, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = self.key(self.planned(asked))
        monkeypatch.setitem(WORKLOADS, name, replace(WORKLOADS[name], protocol=99))
        assert self.key(self.planned(asked)) != before

    def test_with_the_task_and_its_scorer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        planned = self.planned(ITEMS)
        before = self.key(planned)
        other = TASKS[TASK].model_copy(update={"prompt": "another"})
        assert self.key(planned, tasks={TASK: other}) != before
        retitled = TASKS[TASK].model_copy(update={"title": "another"})
        assert self.key(planned, tasks={TASK: retitled}) == before
        monkeypatch.setattr(tool_calls, "VERSION", 99)
        assert self.key(planned) != before

    def test_of_facts_with_what_is_published(self) -> None:
        model = MODELS["smollm2-135m-instruct"]
        other = model.model_copy(update={"checkpoint": "nobody/else"})
        planned = self.planned(FACTS)
        assert self.key(planned, models={model.id: other}) != self.key(planned)

    def test_of_a_panel_with_the_pages_text(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(home, "root", lambda: tmp_path)
        page = tmp_path / "pages" / "002.yaml"
        page.parent.mkdir()
        keys = set()
        for text in ("one", "two"):
            page.write_text(text)
            keys.add(self.key(self.planned(PANEL)))
        assert len(keys) == 2


NEEDLE = ITEMS.model_copy(update={"task": "needle"})


def asked(n: int, **changes: Any) -> Planned:
    planner = Planner(MODELS, TASKS, {})
    return planner.planned(NEEDLE.model_copy(update=changes), n)


def test_a_task_of_lengths_has_the_items_that_its_context_holds() -> None:
    assert asked(300).settings.context == 4096  # type: ignore[union-attr]
    assert asked(400, context=8192).problem is None
    with pytest.raises(UserError, match="needle has 300 items for a context of 4096 tokens: 301"):
        asked(301)
    with pytest.raises(UserError, match="shortest text takes 1024 tokens, the context is 512"):
        asked(1, context=512)


def test_a_context_above_the_window_is_refused_for_a_task_too() -> None:
    assert asked(10, context=16384).problem == (
        "16384 tokens asked for; the window of smollm2-135m-instruct is 8192"
    )


def test_long_items_are_planned_as_long_and_given_their_time() -> None:
    short, long = asked(10, context=1024), asked(10, context=8192)
    assert short.seconds / 10 == pytest.approx(short.slowest)
    assert long.seconds > 2 * short.seconds
    assert long.slowest > 1.5 * long.seconds / 10
    assert key(short, MODELS, TASKS) != key(long, MODELS, TASKS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        (
            {"runtime": "onnx", "quantisation": "int8"},
            "onnx answers one prompt at a time; llama.cpp, transformers can",
        ),
        ({"task": "easy_vqa"}, "have pictures"),
        ({"task": "mmlu"}, "likelihoods"),
        ({"task": "news_from_nowhere"}, "likelihoods"),
    ],
)
def test_items_are_asked_together_only_where_they_can_be(
    changes: dict[str, Any], problem: str | None, planner: Planner
) -> None:
    alone = planner.planned(ITEMS.model_copy(update=changes), 3)
    several = planner.planned(ITEMS.model_copy(update=changes | {"parallel": 4}), 3)
    assert alone.problem is None or "pip install" in alone.problem
    if problem:
        assert problem in str(several.problem)
        return
    assert several.problem is None
    assert alone.settings and several.settings
    assert several.settings.options == alone.settings.options | {"parallel": 4}
    assert several.settings.context == alone.settings.context
    assert several.memory_bytes and alone.memory_bytes
    assert several.memory_bytes > alone.memory_bytes
    assert key(several, MODELS, TASKS) != key(alone, MODELS, TASKS)
