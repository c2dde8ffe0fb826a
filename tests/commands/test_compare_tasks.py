"""`harness compare` on two runs of a task: do their scores compare, and if not, why."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import Say

from harness.commands import compare
from harness.judge.paired import Paired
from harness.run import store
from harness.run.records import ItemData, Sample
from harness.statistics import Estimate

STORED = Path(__file__).parents[1] / "run" / "stored"
Change = Callable[[ItemData], ItemData]


@pytest.fixture
def checkout(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(Path(__file__).parents[2] / "models.yaml", tmp_path)
    (tmp_path / "claims").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(checkout: Path, name: str, change: Change) -> str:
    """A stored run of a task under another name, its items changed."""
    source = next(path for path, run in store.runs(STORED) if run.cell.task)
    run, samples = store.read_run(source), store.read_samples(source)
    changed: list[Sample] = []
    for sample in samples:
        data = sample.data
        if isinstance(data, ItemData):
            data = change(data)
        changed.append(sample.model_copy(update={"data": data}))
    raw = store.samples_bytes(changed)
    digest = hashlib.sha256(raw).hexdigest()
    place = checkout / "results" / "laptop" / name
    store.write_whole(place / "samples.jsonl", raw)
    record = run.model_copy(update={"id": name, "samples_sha256": digest})
    store.write_whole(place / "run.json", store.to_json(record))
    return name


def with_ids(data: ItemData) -> ItemData:
    known = {"prompt_ids_sha256": data.prompt_sha256, "first_logprobs": [(1, -0.5)]}
    return data.model_copy(update=known)


def test_scores_of_the_same_prompts_compare(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(data: ItemData) -> ItemData:
        return with_ids(data).model_copy(update={"output": "x", "first_logprobs": [(1, -0.6)]})

    one, other = write(checkout, "one", with_ids), write(checkout, "other", elsewhere)
    assert say("compare", one, other) == 0
    shown = capsys.readouterr().out
    n = sum(1 for one in store.read_samples(checkout / "results" / "laptop" / "one") if one.data)
    assert n > 0
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("same")] == [
        f"{n}/{n}",
        f"{n}/{n}",
        f"{n}/{n}",
        f"0/{n}",
    ]
    assert "typically 0.1 apart, at most 0.1; rounding explains 0.25" in shown
    assert f"0 at another first token, {n} later" in shown


def test_scores_of_other_image_tokens_do_not_compare(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    def sees_more(data: ItemData) -> ItemData:
        return with_ids(data).model_copy(update={"image_tokens": 1})

    one, other = write(checkout, "one", with_ids), write(checkout, "other", sees_more)
    assert say("compare", one, other) == 1
    assert "scores do not compare: an image takes another number" in capsys.readouterr().out


def test_scores_of_other_token_ids_do_not_compare(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = write(checkout, "one", with_ids), write(checkout, "other", lambda data: data)
    assert say("compare", one, other) == 1
    assert "scores do not compare: a run does not say which token ids" in capsys.readouterr().out


def test_a_loss_is_told_where_scores_compare(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    def right(data: ItemData) -> ItemData:
        return with_ids(data).model_copy(update={"correct": True})

    def wrong(data: ItemData) -> ItemData:
        return with_ids(data).model_copy(update={"correct": False})

    one, other = write(checkout, "one", right), write(checkout, "other", wrong)
    assert say("compare", one, other) == 0
    shown = capsys.readouterr().out
    n = sum(1 for one in store.read_samples(checkout / "results" / "laptop" / "one") if one.data)
    assert f"right: A {n}/{n}, B 0/{n}; A better on {n}, B better on 0; " in shown
    assert "McNemar's exact p = " in shown
    assert "A less B: +100.0%" in shown
    assert say("compare", one, one) == 0
    assert (
        "open: these items show two equal runs the same within 2.0% with a chance of"
        in capsys.readouterr().out
    )
    assert say("compare", one, one, "--margin", "0.999") == 0
    assert "the same within 99.9%" in capsys.readouterr().out
    assert say("compare", one, other, "--margin", "2") == 2


def test_a_loss_in_parts_is_told_too(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    def partly(data: ItemData) -> ItemData:
        return with_ids(data).model_copy(update={"correct": False, "partial": 0.5})

    one, other = write(checkout, "one", partly), write(checkout, "other", with_ids)
    assert say("compare", one, other) == 0
    shown = capsys.readouterr().out
    assert "sign flips of groups p = " in shown and "90% interval" in shown


def test_two_runs_over_a_text_tell_perplexity_and_agreement(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    def first(data: ItemData) -> ItemData:
        scored = {"logprobs": [[-1.0] * 4], "likeliest": [[1, 2, 3, 4]]}
        return with_ids(data).model_copy(update=scored)

    def second(data: ItemData) -> ItemData:
        scored = {"logprobs": [[-1.5] * 4], "likeliest": [[1, 2, 3, 5]]}
        return first(data).model_copy(update=scored)

    assert say("compare", write(checkout, "one", first), write(checkout, "other", second)) == 0
    shown = capsys.readouterr().out
    assert "perplexity: A 2.718, B 4.482\nA / B: 0.6065 (0.6065 to 0.6065" in shown
    assert "same likeliest token: 75.00% of 8" in shown
    assert "answer" not in shown and "right" not in shown


@pytest.mark.parametrize(("p", "said"), [(0.25, "open: "), (0.004, "not the same")])
def test_a_difference_is_one_where_the_test_finds_it(
    p: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three items that differ, all one way: the interval leaves out 0, chance does as much."""
    loss = Estimate(-0.017, -0.041, -0.002, 179, "", 0.9)
    compare._tell_loss(Paired(loss, 164, 167, 0, 3, p, "McNemar's exact", 0.02, 0.9, 100))
    assert capsys.readouterr().out.splitlines()[-1].startswith(said)
