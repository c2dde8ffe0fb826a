"""The runtime `openai` against a server that misbehaves, and against llama.cpp's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import MODEL, Reply, Told, llama_cpp_server, says, told

from harness import cli, home
from harness.ask import models, tasks
from harness.ask.models import SERVED
from harness.errors import MissingError
from harness.plan.cells import Cell
from harness.plan.planner import Planned, Planner
from harness.prepare.data import fetch
from harness.run import store
from harness.run.endpoint import BASE, KEY, Endpoint
from harness.run.reached import reached
from harness.run.records import Run, Sample
from harness.run.runtimes import ArtifactRefused, openai, settings_for
from harness.run.runtimes.chat import ServerGone
from harness.run.runtimes.openai import OpenAi
from harness.run.session import Session
from harness.run.tasks import kind
from harness.run.workloads.messages import Correspondent
from harness.run.workloads.respondent import Listener

QUESTION = [{"role": "user", "content": "How many legs has a spider?"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SECRET = "sk-0123456789abcdef"
CONTEXT, TOKENS = 1024, 24
SMOLLM2, TASK = "smollm2-135m-instruct", "bfcl_simple_python"
MODELS, TASKS = models.load(), tasks.load()


def client(server: Told, key: str = "") -> OpenAi:
    one = OpenAi(Endpoint(server.base, "127.0.0.1", key))
    one.load(MODEL)
    return one


def answer(*replies: Reply, stop: tuple[str, ...] = (), **asked: Any) -> tuple[str, dict[str, Any]]:
    with told(*replies) as server:
        one = Correspondent(client(server))
        text = one.answer(QUESTION, 8, stop=stop, **asked)
        return text, one.turns[0] | {"sent": server.asked[0]}


def refused(*replies: Reply, **asked: Any) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as found:
        answer(*replies, **asked)
    return found.value


def test_it_is_asked_greedily_and_its_word_is_kept() -> None:
    text, turn = answer(says("Eight.", system_fingerprint="fp_1"))
    assert text == "Eight."
    assert turn["sent"] == {
        "model": MODEL,
        "messages": QUESTION,
        "max_tokens": 8,
        "temperature": 0,
        "repeat_penalty": 1.0,
    }
    told = {"model": MODEL, "system_fingerprint": "fp_1", "finish_reason": "stop"}
    assert turn["reply"].items() >= told.items()
    assert (turn["prompt_tokens"], turn["new_tokens"], turn["stopped"]) == (10, 2, "end")
    assert (turn["prompt_sha256"], turn["evaluated_tokens"]) == (None, None)


def test_another_machine_is_sent_nothing_but_the_protocol() -> None:
    one = OpenAi(Endpoint("https://api.example.org/v1", "api.example.org", ""))
    one.load(MODEL)
    sent = one._body(QUESTION, 8, None, ())
    assert sent.keys() == {"model", "messages", "max_tokens", "temperature"}


def test_what_a_server_does_not_tell_is_unknown() -> None:
    _, turn = answer(says("Eight.", model=None, usage=None, finish_reason=None))
    assert (turn["prompt_tokens"], turn["new_tokens"], turn["stopped"]) == (None, None, None)
    assert turn["reply"]["model"] is None


def test_an_answer_ends_before_a_stop_and_the_server_hears_of_it() -> None:
    text, turn = answer(says("Eight.\nQ: next"), stop=("\n",))
    assert (text, turn["sent"]["stop"], turn["stopped"]) == ("Eight.", ["\n"], None)
    _, cut = answer(says("Eig", finish_reason="length"), stop=("\n",))
    assert cut["stopped"] == "length"


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def test_calls_that_the_server_read_are_written_as_a_scorer_reads_them() -> None:
    reply = says(None, message={"tool_calls": [CALL]}, finish_reason="tool_calls")
    without = says("x", usage={"prompt_tokens": 3})
    text, turn = answer(reply, without, tools=TOOLS)
    assert text == '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    assert (turn["sent"]["tools"], turn["stopped"]) == (TOOLS, "end")


def test_a_server_that_shows_no_tools_is_refused() -> None:
    """The model would be asked without them, and its silence would count as an abstention."""
    assert "no tools" in str(refused(says("Eight."), says("E"), tools=TOOLS))


def test_whether_tools_are_shown_is_tried_once() -> None:
    with told(says("a"), says("b", usage={"prompt_tokens": 3}), says("c")) as server:
        one = client(server)
        assert [one.reply(QUESTION, 8, tools=TOOLS).text for _ in range(2)] == ["a", "c"]
        assert ["tools" in sent for sent in server.asked] == [True, False, True]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(body=b"<html>sign in</html>"), "no JSON"),
        (Reply(body=b"[" * 100_000), "no JSON"),
        (Reply(body=b"[]"), "no JSON object"),
        (Reply(body=b"{}"), "no answer in OpenAI's form"),
        (Reply(body=b'{"choices": []}'), "no answer in OpenAI's form"),
        (Reply(body=b'{"choices": [{"message": "x"}]}'), "no answer in OpenAI's form"),
        (says(None, message={"tool_calls": [{}]}), "no answer in OpenAI's form"),
        (Reply(body=b" " * (5 << 20)), "more than 4 MiB"),
        (Reply(400, b'{"error": {"message": "too\\u0007 long"}}'), "status 400: too  long"),
        (Reply(422, b"\x00\xff" * 1000), "status 422"),
    ],
)
def test_what_is_no_answer_costs_one_item(reply: Reply, why: str) -> None:
    found = refused(reply)
    assert why in str(found)
    assert not isinstance(found, ServerGone)
    assert len(str(found)) < 300
    assert str(found).isprintable()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, f"check {KEY}"),
        (403, f"check {KEY}"),
        (404, "no such address or model"),
        (500, "status 500: it broke"),
    ],
)
def test_what_the_next_request_would_meet_as_well_ends_all(status: int, why: str) -> None:
    found = refused(Reply(status, b'{"error": {"message": "it broke"}}'))
    assert isinstance(found, ServerGone)
    assert why in str(found)


def test_a_server_that_is_busy_is_asked_again() -> None:
    busy = Reply(429, headers={"Retry-After": "0"})
    text, _ = answer(busy, Reply(503, headers={"Retry-After": "0"}), says("Eight."))
    assert text == "Eight."


def test_a_server_that_stays_busy_is_given_up() -> None:
    with told(Reply(429, headers={"Retry-After": "0"})) as server:
        with pytest.raises(ServerGone, match="busy: status 429 6 times"):
            client(server).reply(QUESTION, 8)
        assert len(server.asked) == 6


@pytest.mark.parametrize("after", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_nobody_waits_for_an_hour(after: str) -> None:
    found = refused(Reply(503, headers={"Retry-After": after}))
    assert isinstance(found, ServerGone)
    assert "asks to wait" in str(found)


def test_who_waits_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(openai, "_STEP", 0.01)
    with told(Reply(429, headers={"Retry-After": "nonsense"}), says("Eight.")) as server:
        monkeypatch.setattr(openai, "_seconds", lambda after, otherwise: 0.03)
        one = client(server)
        one.load(MODEL, lambda: heard.append("alive"))
        one.reply(QUESTION, 8)
    assert len(heard) >= 3


def test_a_server_that_hangs_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "_ANSWER_SECONDS", 0.2)
    found = refused(Reply(seconds=1.0))
    assert isinstance(found, ServerGone)
    assert "no answer from the server within" in str(found)


def test_where_nobody_listens_it_says_what_to_set() -> None:
    with told(says("x")) as server:
        gone = client(server)
    with pytest.raises(ServerGone, match=f"no server answers at {BASE}"):
        gone.reply(QUESTION, 8)


def test_no_redirect_is_followed_and_no_key_goes_along() -> None:
    with told(says("x")) as other:
        to = Reply(307, headers={"Location": f"{other.base}/chat/completions"})
        with told(to) as server, pytest.raises(ServerGone, match="not followed"):
            client(server, SECRET).reply(QUESTION, 8)
        assert other.asked == []
        assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"


def test_a_key_that_comes_back_is_taken_out() -> None:
    """OpenAI's own error names the key; a hostile server may put it into an answer."""
    wrong = json.dumps({"error": {"message": f"no such key: {SECRET}"}}).encode()
    with told(says(f"It is {SECRET}.", model=SECRET), Reply(400, wrong)) as server:
        one = client(server, SECRET)
        said = one.reply(QUESTION, 8)
        assert (said.text, said.reply["model"]) == ("It is KEY.", "KEY")
        with pytest.raises(ArtifactRefused) as found:
            one.reply(QUESTION, 8)
    assert SECRET not in str(found.value)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("/home/me/models/some.gguf", "some.gguf"),
        ("C:\\Users\\me\\some.gguf", "some.gguf"),
        ("maker/some:8b", "maker/some:8b"),
    ],
)
def test_where_a_server_has_its_files_is_not_kept(name: str, kept: str) -> None:
    _, turn = answer(says("Eight.", model=name))
    assert turn["reply"]["model"] == kept


def test_a_word_that_a_local_server_takes_for_a_key_stays_in_answers() -> None:
    with told(says("a spider")) as server:
        assert client(server, "a").reply(QUESTION, 8).text == "a spider"


def test_half_a_character_becomes_a_whole_one() -> None:
    text, _ = answer(Reply(body=says("x").body.replace(b'"x"', b'"\\ud800y\\u0000"')))
    assert text == "?y\x00"


def test_what_needs_tokens_is_refused_with_the_reason() -> None:
    with told(says("x")) as server:
        one = Correspondent(client(server))
        for ask in (
            lambda: one.likelihoods("a", ["b"]),
            lambda: one.window("a", 0, 4),
            lambda: one.prompt_tokens(QUESTION),
            lambda: one.answer(QUESTION, 8, schema={}, images=[b"x"]),
        ):
            with pytest.raises(ArtifactRefused, match=r"does not tell|is sent no"):
                ask()
        assert server.asked == []


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        (("/models/some.gguf",), "/models/some.gguf"),
        (("llama3:8b", "SmolLM2-135M-Instruct:latest"), "SmolLM2-135M-Instruct:latest"),
        (
            ("a", "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF"),
            "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF",
        ),
    ],
)
def test_the_model_has_the_name_that_the_server_gives_it(
    listed: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(says("x"), listed=listed) as server:
        monkeypatch.setenv(BASE, server.base)
        found, asked = reached(MODELS[SMOLLM2], offline=True)
    assert (found.place, found.model, asked) == ("loopback", name.removeprefix("/models/"), name)


@pytest.mark.parametrize(
    "listed", [(), ("a", "b"), ("smollm2-135m-instruct", "x/smollm2-135m-instruct")]
)
def test_which_model_is_meant_is_not_guessed(
    listed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(says("x"), listed=listed) as server:
        monkeypatch.setenv(BASE, server.base)
        with pytest.raises(MissingError, match="does not list one model that could be SmolLM2"):
            reached(MODELS[SMOLLM2], offline=False)


def cell(task: str | None = TASK, model: str = SMOLLM2, **changes: Any) -> Cell:
    base = {"task": task, "model": model, "quantisation": SERVED, "runtime": "openai"}
    return Cell.model_validate(base | {"device": "server"} | changes)


def planned(n: int, one: Cell) -> Planned:
    return Planner(MODELS, TASKS, {}).planned(one, n)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (cell(None, workload="speed"), "speed is that of its machine"),
        (cell(None, workload="memory", context=2048), "memory is that of its machine"),
        (cell(context=8192), "leave them out"),
        (cell(parallel=4), "leave them out"),
        (cell(quantisation="Q4_1"), "only the server knows"),
        (cell("mmlu"), "how likely a text is"),
        (cell("news_from_nowhere"), "how likely a text is"),
        (cell("needle"), "counted in tokens"),
        (cell("easy_vqa"), "pictures"),
        (cell("json_answers_grammar"), "a grammar"),
        (cell("made_offers_mistral"), "calls as mistral"),
        (cell("tool_chains_hermes"), "results of calls"),
        (cell(model="mistral-medium-3"), "served at api.mistral.ai or services.ai.azure.com"),
    ],
)
def test_what_a_server_cannot_be_asked_is_said_before_anything_is_sent(
    one: Cell, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE, "http://127.0.0.1:1/v1")
    assert why in str(planned(1, one).problem)


def test_a_model_without_weights_runs_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "https://api.mistral.ai/v1")
    assert planned(1, cell(model="mistral-medium-3")).problem is None
    monkeypatch.delenv(BASE)
    assert f"set {BASE}" in str(planned(1, cell(model="mistral-medium-3")).problem)


def ask(results: Path, n: int, base: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv(BASE, base)
    session = Session(results, MODELS, TASKS, offline=True)
    return session.run([planned(n, cell())])


def finished(results: Path) -> list[tuple[Run, list[Sample]]]:
    return [(run, store.read_samples(folder)) for folder, run in store.runs(results)]


def test_a_server_that_goes_away_costs_no_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(says("[]"), Reply(500, b"down")) as server:
        (problem,) = ask(tmp_path, 3, server.base, monkeypatch)
    assert "status 500: down; the same command goes on" in problem
    assert finished(tmp_path) == []
    with told(says("[]")) as server:
        assert ask(tmp_path, 3, server.base, monkeypatch) == []
        assert len(server.asked) == 2
    ((run, samples),) = finished(tmp_path)
    assert (run.samples, run.failed, len(samples)) == (3, 0, 3)


def test_a_run_says_what_nobody_saw_and_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET)
    with told(says(f"[] {SECRET}", model=f"m {SECRET}")) as server:
        assert ask(tmp_path, 2, server.base, monkeypatch) == []
    ((run, _),) = finished(tmp_path)
    gates = {gate.name: (gate.passed, gate.detail) for gate in run.gates}
    assert gates["prompt"] == (None, "prompt not seen: the server renders it")
    assert [gates[one][0] for one in ("settings", "weights", "evaluated tokens")] == [None] * 3
    assert gates["one model"] == (True, "every reply is from m KEY")
    assert (run.artifact, run.settings, run.valid) == (None, None, True)
    assert run.endpoint
    assert (run.endpoint.place, run.endpoint.model) == ("loopback", MODEL)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert b"127.0.0.1" not in written


def test_the_command_tells_the_cost_before_and_what_is_not_known_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("claims", "models.yaml", "prices.yaml", "tasks"):
        (tmp_path / name).symlink_to(home.root() / name)
    monkeypatch.chdir(tmp_path)
    with told(says("[]")) as server:
        monkeypatch.setenv(BASE, server.base)
        words = ("run", "--model", SMOLLM2, "--runtime", "openai", "--task", TASK, "--limit", "1")
        assert cli.main(list(words)) == 0
    out, err = capsys.readouterr()
    assert "asking loopback for SmolLM2-135M-Instruct: some 1 requests" in err
    assert "not known: prompt: prompt not seen: the server renders it" in out
    assert len(finished(tmp_path / "results")) == 1


def test_two_models_behind_one_address_make_a_run_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told(says("[]", system_fingerprint="a"), says("[]", model="other")) as server:
        ask(tmp_path, 2, server.base, monkeypatch)
    ((run, _),) = finished(tmp_path)
    assert not run.valid
    assert [gate.detail for gate in run.gates if gate.passed is False] == [
        "replies from other, told"
    ]
    assert "2 builds" in " ".join(run.warnings)


def test_what_a_local_server_holds_is_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold another model today; what a host serves under a dated name is as it was."""
    with told(says("[]")) as server:
        for _ in range(2):
            ask(tmp_path, 1, server.base, monkeypatch)
    assert len(finished(tmp_path)) == 2
    monkeypatch.setenv(BASE, "https://api.mistral.ai/v1")
    assert planned(1, cell(model="mistral-medium-3")).lasting


@pytest.fixture(scope="module")
def llama_server(smollm2: Path) -> Iterator[str]:
    with llama_cpp_server(smollm2, CONTEXT) as base:
        yield base


def test_llama_cpps_server_answers_as_llama_cpp_does(llama_server: str, smollm2: Path) -> None:
    """Word by word, and from as many tokens, though the server by itself punishes repetition."""
    from harness.run.runtimes.llamacpp import LlamaCpp

    task, runtime = TASKS[TASK], LlamaCpp()
    runtime.load(str(smollm2), settings_for("llama.cpp", "cpu", 1, CONTEXT))
    runtime.create_context()
    server = OpenAi(Endpoint(llama_server, "127.0.0.1", ""))
    server.load(server.listed()[0])
    for item in kind(task.kind).items(task, fetch(task.source), 2):
        here = Listener(runtime, runtime.chat_template(), item.id)
        there = Correspondent(server)
        assert there.answer(item.messages, TOKENS) == here.answer(item.messages, TOKENS)
        for name in ("prompt_tokens", "new_tokens", "stopped"):
            assert there.turns[0][name] == here.turns[0][name]


def test_llama_cpps_server_shows_smollm2_no_tools(llama_server: str) -> None:
    """Its template has no place for them, which only the count of tokens tells."""
    endpoint = Endpoint(llama_server, "127.0.0.1", "")
    one = OpenAi(endpoint)
    one.load(one.listed()[0])
    with pytest.raises(ArtifactRefused, match="shows the model no tools"):
        one.reply(QUESTION, 4, tools=TOOLS)
