"""A grammar over answers: what ends follows the schema, and what followed it is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import llamas
import numpy as np
import pytest
import tiny_onnx
from tiny_models import write_model

from harness.ask import tasks
from harness.errors import MissingError
from harness.run import job, store
from harness.run import tasks as kinds
from harness.run.records import ItemData
from harness.run.runtimes import ArtifactRefused, Runtime, settings_for
from harness.run.runtimes.llamacpp import LlamaCpp
from harness.run.runtimes.transformers import Transformers
from harness.run.tasks import Item, json_answers
from harness.run.workloads.respondent import Listener

ROOT = Path(__file__).parents[2]
PROMPTED, HELD = (tasks.load(ROOT / "tasks")[f"json_answers{arm}"] for arm in ("", "_grammar"))
LEVELS = {
    "type": "object",
    "properties": {
        "level": {"type": "string", "enum": ["beginner", "good", "fluent"]},
        "sure": {"anyOf": [{"type": "null"}, {"type": "string", "enum": ["yes", "no"]}]},
    },
    "required": ["level", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(smollm2: Path) -> LlamaCpp:
    return llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 1, 1024))


def every_item() -> list[Item]:
    return json_answers.items(HELD, Path(), HELD.rows.available)


def test_the_arms_ask_the_same() -> None:
    prompted = json_answers.items(PROMPTED, Path(), PROMPTED.rows.available)
    assert [item.digest() for item in prompted] == [item.digest() for item in every_item()]
    assert PROMPTED.version_hash() != HELD.version_hash()


def test_a_real_model_is_held_to_the_schema(model: LlamaCpp) -> None:
    """By itself it explains, and quotes the schema."""
    prompted = PROMPTED.model_copy(update={"max_new_tokens": 24})
    held = 0
    for item in every_item()[:3]:
        listener = Listener(model, model.chat_template(), item.id)
        free = json_answers.ask(prompted, item, listener)
        said = json_answers.ask(HELD, item, listener)
        assert listener.turns[1]["stopped"] == "end"
        jsonschema.validate(json.loads(said), item.payload["schema"])
        held += json_answers.score(item, free).outcome == "not_json"
    assert held


EXAMPLES = {
    "Ann is 30 years old and lives in Rome.": {"name": "Ann", "age": 30, "city": "Rome"},
    "Bob is 41 years old and lives in Oslo.": {"name": "Bob", "age": 41, "city": "Oslo"},
}


def test_an_answer_that_followed_the_schema_anyway_is_the_same(model: LlamaCpp) -> None:
    """Shown how, the model answers in JSON by itself."""
    schema = every_item()[0].payload["schema"]
    assert list(schema["properties"]) == ["name", "age", "city"]
    messages = [{"role": "system", "content": "Answer in JSON."}]
    for said, wanted in EXAMPLES.items():
        messages += [
            {"role": "user", "content": said},
            {"role": "assistant", "content": json.dumps(wanted)},
        ]
    for said in ("Carla is 27 years old and lives in Lima.", "Dan is 9 and lives in Bonn."):
        asked = [*messages, {"role": "user", "content": said}]
        listener = Listener(model, model.chat_template(), "one")
        free = listener.answer(asked, 60)
        assert json_answers.breaks(schema, json.loads(free)) is None
        assert listener.answer(asked, 60, schema=schema) == free
        one, other = listener.turns
        assert one["first_logprobs"] == other["first_logprobs"]


def test_every_right_answer_can_be_given_and_then_nothing_but_the_end(model: LlamaCpp) -> None:
    """Token by token: what the model would say by itself is never forbidden."""
    for item in every_item():
        mask, said = model.grammar(item.payload["schema"]), list[int]()
        for token in model.tokenize(json.dumps(item.payload["wanted"])):
            assert mask(said)[token]
            said.append(token)
        left = [int(one) for one in np.flatnonzero(mask(said))]
        assert left and all(model._is_end(one) for one in left)


def write_letters(folder: Path) -> None:
    """A tokenizer of as many tokens as the tiny graphs have: JSON's marks and small letters."""
    from tokenizers import AddedToken, Tokenizer, decoders
    from tokenizers import models as bpe
    from tokenizers.pre_tokenizers import ByteLevel

    special = ["<pad>", "<bos>", "<unk>", "<end>"]
    texts = [*special, *'{}[]":,_', *map(chr, range(ord("a"), ord("z") + 1))]
    tokenizer = Tokenizer(bpe.BPE({text: at for at, text in enumerate(texts)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokenizer.save(str(folder / "tokenizer.json"))


def tiny(name: str, folder: Path) -> Runtime:
    if name == "transformers":
        runtime = Transformers()
        runtime.load(str(write_model(folder)), settings_for("transformers", "cpu", 1, 512))
        runtime.create_context()
        return runtime
    tiny_onnx.write(folder, tiny_onnx.transformers_model())
    write_letters(folder)
    return tiny_onnx.runtime(folder)


@pytest.mark.parametrize(("name", "room"), [("transformers", 300), ("onnx", 48)])
def test_a_model_of_random_weights_is_held_too(name: str, room: int, tmp_path: Path) -> None:
    """Blanks, of which it is fond, have an end, too."""
    runtime = tiny(name, tmp_path)
    for prompt in ([5, 9, 13], [40], [7, 7, 20, 21]):
        free = runtime.evaluate(prompt, room, stop_at_end=True, top=3)
        held = runtime.evaluate(prompt, room, stop_at_end=True, top=3, mask=runtime.grammar(LEVELS))
        assert held.stopped == "end" and held.tokens != free.tokens
        assert held.first_logprobs == free.first_logprobs
        jsonschema.validate(json.loads(runtime.detokenize(held.tokens[:-1])), LEVELS)


def test_a_schema_that_no_grammar_can_hold_is_refused(model: LlamaCpp) -> None:
    with pytest.raises(ArtifactRefused, match="grammar of the schema"):
        model.grammar({"type": "no type"})


def test_a_token_that_was_not_allowed_ends_in_a_refusal(model: LlamaCpp) -> None:
    mask = model.grammar(LEVELS)
    (wrong,) = model.tokenize("x")
    assert not mask([])[wrong]
    with pytest.raises(ArtifactRefused):
        mask([wrong])


def test_without_the_package_the_task_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None: ...

    assert kinds.libraries(HELD).keys() == {"llguidance"} and not kinds.libraries(PROMPTED)
    monkeypatch.setattr(kinds, "installed", absent)
    with pytest.raises(MissingError, match=r"llguidance.*claimbench\[grammar\]"):
        job._task(HELD, 1, offline=True)


def test_nothing_that_is_timed_knows_of_grammars() -> None:
    """No package of it is loaded, and workloads that time hand no mask on."""
    loaded = "import sys, harness.run.runtimes.llamacpp; print('llguidance' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
    folder = ROOT / "harness" / "run" / "workloads"
    knows = {path.name for path in folder.glob("*.py") if "mask" in path.read_text()}
    assert knows == {"respondent.py"}


def stored(task: tasks.Task) -> dict[str, ItemData]:
    """What llama.cpp answered, one item at a time, in the runs that came with this repository."""
    return {
        sample.data.item: sample.data
        for folder, run in store.runs(ROOT / "results")
        if run.cell.task == task.name and run.task and run.task.version_hash == task.version_hash()
        if run.cell.runtime == "llama.cpp" and run.cell.parallel is None
        for sample in store.read_samples(folder)
        if isinstance(sample.data, ItemData)
    }


def test_stored_answers_keep_the_promise() -> None:
    """All that were not cut follow their schema; those that did so unheld are the same."""
    items, free = {item.id: item for item in every_item()}, stored(PROMPTED)
    held = stored(HELD)
    assert len(held) >= 50 and len(free.keys() & held.keys()) >= 25
    for id_, data in held.items():
        if data.stopped != "length":
            jsonschema.validate(json.loads(data.output), items[id_].payload["schema"])
        if id_ in free and free[id_].outcome in ("exact", "wrong_value"):
            assert data.output == free[id_].output
