"""The task kind "multi_turn": conversations with BFCL's objects, and what they are worth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ask import tasks
from harness.ask.tasks import Source, Task
from harness.errors import BadFile, MissingError, UserError
from harness.run import sandbox
from harness.run.runtimes import NoRoom
from harness.run.tasks import Item, bfcl_objects, kind, multi_turn

ROOT = Path(__file__).parents[3]
PROMPT, TEMPLATE = (
    tasks.load(ROOT / "tasks")[name]
    for name in ("bfcl_multi_turn_base", "bfcl_multi_turn_base_hermes")
)
FILES = {"root": {"home": {"type": "directory", "contents": {}}}}
DONE = "Done."


@pytest.fixture(scope="module", autouse=True)
def possible() -> None:
    try:
        bfcl_objects.check_machine()
    except MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def entries(wheel: Path) -> dict[str, Item]:
    return {item.id: item for item in multi_turn.items(PROMPT, wheel, 200)}


@pytest.fixture
def desk(entries: dict[str, Item]) -> Item:
    """An empty folder: make a file, then list it, then do what cannot be done."""
    entry = next(one for one in entries.values() if list(one.payload["sources"]) == [*MODULES])
    return Item(
        "desk",
        [{"role": "system", "content": "s"}, {"role": "user", "content": "make b"}],
        entry.payload
        | {
            "configuration": {"GorillaFileSystem": FILES},
            "later": [[{"role": "user", "content": text}] for text in ("list", "fly")],
            "right": [[["touch", [], {"file_name": "b"}]], [["ls", [], {"a": True}]], []],
        },
    )


MODULES = ("GorillaFileSystem",)


class Scripted:
    """A model that says some texts one after the other."""

    def __init__(self, *texts: str, then: Callable[[], str] | None = None) -> None:
        self.texts, self.then = list(texts), then
        self.messages: list[dict[str, Any]] = []
        self.tools: list[dict[str, Any]] | None = None

    def answer(self, messages: Sequence[dict[str, Any]], max_new_tokens: int, **more: Any) -> str:
        self.messages, self.tools = list(messages), more.get("tools")
        return self.texts.pop(0) if self.texts or not self.then else self.then()

    def likelihoods(self, context: str, options: Sequence[str]) -> list[float]:
        raise NotImplementedError


def asked(item: Item, *texts: str, task: Task = PROMPT) -> tuple[Scripted, str]:
    model = Scripted(*texts)
    return model, multi_turn.ask(task, item, model)


def spelt(call: list[Any], functions: list[dict[str, Any]]) -> str:
    """A right call as a model has to write it, every argument by its name."""
    name, positional, named = call
    order = next(one for one in functions if one["name"] == name)["parameters"]["properties"]
    arguments = dict(zip(order, positional, strict=False)) | named
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def test_the_prompt_is_bfcls_own() -> None:
    digest = hashlib.sha256(PROMPT.prompt.encode()).hexdigest()
    assert digest[:16] == "ccbbfe583cf68294"
    assert PROMPT.source == TEMPLATE.source and PROMPT.rows == TEMPLATE.rows


def test_items_can_be_told_apart_by_their_number_of_requests(entries: dict[str, Item]) -> None:
    item = entries["multi_turn_base_0"]
    assert item.facets == {"requests": "4"} and len(item.payload["right"]) == 4


def test_the_right_calls_make_an_exact_conversation(entries: dict[str, Item]) -> None:
    """With positional arguments in the key, a logarithm, and a turn that needs no call."""
    for id_ in ("multi_turn_base_0", "multi_turn_base_57", "multi_turn_base_167"):
        item = entries[id_]
        said = []
        for turn in item.payload["right"]:
            calls = [spelt(call, item.payload["functions"]) for call in turn]
            said += [f"[{', '.join(calls)}]"] * bool(calls) + [DONE]
        _, output = asked(item, *said)
        score = multi_turn.score(item, output)
        assert (score.outcome, score.correct) == ("exact", True), score


def test_results_come_back_in_the_words_of_each_arm(desk: Item) -> None:
    model, output = asked(desk, "[touch(file_name='b')]", DONE, "[ls(), pwd()]", DONE, "no")
    listed = '{"current_directory_content": ["b"]}'
    told = [
        {"role": "tool", "name": "ls()", "content": listed},
        {"role": "tool", "name": "pwd()", "content": '{"current_working_directory": "/home"}'},
    ]
    roles = [message["role"] for message in model.messages]
    assert roles == ["system", *["user", "assistant"] * 4, "user"]
    assert model.messages[7] == {"role": "user", "content": repr(told)}
    assert model.tools is None
    turns = [["[touch(file_name='b')]", DONE], ["[ls(), pwd()]", DONE], ["no"]]
    assert json.loads(output) == {"turns": turns, "cut": None}

    hermes = replace(desk, payload=desk.payload | {"parser": "hermes"})
    call = '<tool_call>{"name": "touch", "arguments": {"file_name": "b"}}</tool_call>'
    twice = '<tool_call>{"name": "ls", "arguments": {}}</tool_call>' * 2
    model, _ = asked(hermes, call, DONE, twice, DONE, "no", task=TEMPLATE)
    assert model.messages[7:9] == [{"role": "tool", "content": listed}] * 2
    assert model.tools is not None and model.tools[0]["function"]["name"] == "cat"
    assert model.tools[0]["function"]["parameters"]["type"] == "object"


TOUCH, LIST = "[touch(file_name='b')]", "[ls(a=True)]"


@pytest.mark.parametrize(
    ("texts", "outcome", "detail"),
    [
        ((TOUCH, DONE, LIST, DONE, "no"), "exact", "2 calls for 2"),
        ((TOUCH, DONE, LIST, DONE, "[pwd()]", "no"), "recovered", "3 calls for 2"),
        (
            ("[touch(file_name='c')]", "[rm(file_name='c')]", TOUCH, DONE, LIST, DONE, ""),
            "recovered",
            "",
        ),
        ((TOUCH, LIST, DONE, "[pwd()]", DONE, ""), "recovered", ""),
        ((DONE, LIST, DONE, "no"), "missing_call", "turn 1 of 3: no call of touch"),
        ((TOUCH, DONE, DONE, "no"), "missing_call", "turn 2 of 3: no call of ls"),
        (("touch the file (b)", DONE, ""), "missing_call", "turn 1"),
        (("[touch('b')]", LIST, DONE, "no"), "unparseable", "turn 1 of 3: "),
        (("[touch(file_name='b'", DONE, "no"), "unparseable", "turn 1 of 3: "),
        (("[open(file_name='b')]", DONE, LIST, DONE, "no"), "invented_tool", "'open' was not"),
        (("[exit()]", DONE, LIST, DONE, "no"), "invented_tool", "'exit' was not"),
        (("[_load_scenario(scenario={})]", DONE, LIST, DONE, "no"), "invented_tool", "_load"),
        (("[touch(name='b')]", DONE, LIST, DONE, "no"), "invented_argument", "'name' is no"),
        (
            ("[touch(file_name='c')]", DONE, LIST, DONE, "no"),
            "wrong_argument",
            "root is in another",
        ),
        (("[touch(file_name=['b'])]", DONE, LIST, DONE, "no"), "wrong_argument", "turn 1"),
        ((TOUCH, DONE, "[ls(a='')]", DONE, "no"), "exact", ""),
        ((TOUCH, "[rm(file_name='b')]", DONE, LIST, DONE, ""), "spurious_call", "after rm"),
        ((TOUCH, DONE, "[cd(folder='.')]", "[ls(a=0)]", DONE, ""), "recovered", ""),
    ],
)
def test_a_conversation_has_its_outcome(
    desk: Item, texts: tuple[str, ...], outcome: str, detail: str
) -> None:
    model = Scripted(*texts, then=lambda: "no")
    score = multi_turn.score(desk, multi_turn.ask(PROMPT, desk, model))
    assert score.outcome == outcome and score.correct is (outcome in multi_turn.CORRECT)
    assert detail in score.detail and outcome in multi_turn.OUTCOMES


def test_a_turn_has_so_many_steps(desk: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bfcl-eval counts them: the answer after the last of them may still end the turn."""
    assert multi_turn.MAX_STEPS == 20
    monkeypatch.setattr(multi_turn, "MAX_STEPS", 3)
    steps = ["[pwd()]"] * (multi_turn.MAX_STEPS - 1)
    _, output = asked(desk, TOUCH, *steps, DONE, LIST, DONE, "no")
    assert multi_turn.score(desk, output).outcome == "recovered"
    _, output = asked(desk, TOUCH, *steps, "[pwd()]")
    score = multi_turn.score(desk, output)
    assert (score.outcome, score.detail) == (
        "cut_short",
        "turn 1 of 3: more than 3 answers with calls",
    )


def test_no_room_ends_a_conversation_but_not_before_it_began(desk: Item) -> None:
    def refuse() -> str:
        raise NoRoom("9000 tokens")

    with pytest.raises(NoRoom):
        multi_turn.ask(PROMPT, desk, Scripted(then=refuse))
    output = multi_turn.ask(PROMPT, desk, Scripted(TOUCH, DONE, then=refuse))
    assert json.loads(output) == {"turns": [[TOUCH, DONE], []], "cut": "9000 tokens"}
    assert multi_turn.score(desk, output).detail == "turn 2 of 3: 9000 tokens"


def test_a_call_that_never_ends_ends_the_conversation(
    entries: dict[str, Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 2)
    item = next(one for one in entries.values() if "MathAPI" in one.payload["sources"])
    _, output = asked(item, "[power(base=9, exponent=9999999999)]")
    score = multi_turn.score(item, output)
    assert score.outcome == "cut_short" and "the objects gave no answer" in score.detail


@pytest.mark.parametrize(
    "text",
    [
        '[echo(content=\'__import__("os").system("id")\')]',
        "[echo(content='" + "x" * 100_000 + "')]",
        "[touch(file_name='\\ud800')]",
        "[ls(**{'a': 1})]",
        "[touch(self=1)]",
        "[ls(a=" + "[" * 31 + "]" * 31 + ")]",
        "\x00",
    ],
)
def test_what_a_model_says_is_data(desk: Item, text: str) -> None:
    model = Scripted(text, then=lambda: "no")
    assert not multi_turn.score(desk, multi_turn.ask(PROMPT, desk, model)).correct


def test_data_of_another_shape_are_named(wheel: Path) -> None:
    assert isinstance(PROMPT.source, Source)
    half = PROMPT.model_copy(
        update={"rows": PROMPT.rows.model_copy(update={"available": 100, "planned": 1})}
    )
    with pytest.raises(BadFile, match="200 rows, not 100"):
        multi_turn.items(half, wheel, 1)
    other = {"questions": "bfcl_eval/data/BFCL_v4_simple_python.json"}
    members = PROMPT.source.members | other
    source = PROMPT.source.model_copy(update={"members": members})
    rows = PROMPT.rows.model_copy(update={"available": 400})
    with pytest.raises(BadFile, match="unknown shape"):
        multi_turn.items(PROMPT.model_copy(update={"source": source, "rows": rows}), wheel, 1)
    with pytest.raises(BadFile, match="holds"):
        multi_turn.items(PROMPT.model_copy(update={"prompt": "no place"}), wheel, 1)
    with pytest.raises(UserError, match="200 rows"):
        multi_turn.items(PROMPT, wheel, 201)


def test_without_its_parts_the_task_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"claimbench\[bfcl\]"):
        kind("multi_turn").check_machine()  # type: ignore[attr-defined]
