"""Two runs of one task: the same question, or by name why not."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from harness.judge import tolerances
from harness.judge.parity import Parting, parity
from harness.run.records import ItemData, Sample

IDS = [1, 7, 9, 11, 13, 15, 17, 19, 21, 23]
TEMPLATE = "a" * 64


def sha256(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def item(name: str = "x", ids: list[int] | None = None, **changes: Any) -> Sample:
    ids = IDS if ids is None else ids
    data = {
        "item": name,
        "item_sha256": sha256(name),
        "prompt_sha256": sha256("prompt"),
        "prompt_tokens": len(ids),
        "prompt_start": ids[:8],
        "prompt_ids_sha256": sha256(ids),
        "evaluated_tokens": len(ids),
        "new_tokens": 2,
        "stopped": "end",
        "first_logprobs": [(5, -0.1), (6, -3.0)],
        "output": "yes",
        "outcome": "exact",
        "correct": True,
        "detail": "",
        "template_sha256": TEMPLATE,
    }
    answer = ItemData.model_validate(data | changes)
    return Sample(index=0, item=name, started="", seconds=1.0, data=answer)


def test_the_same_question_in_any_order() -> None:
    found = parity([item("x"), item("y")], [item("y"), item("x", output="no"), item("z")])
    assert found.passed
    assert (found.items, found.same_prompt, found.same_ids, found.same_output) == (2, 2, 2, 1)
    assert (found.apart, found.reasons) == (0, ())


def test_how_far_the_first_tokens_are_apart() -> None:
    other = item(first_logprobs=[(6, -2.5), (5, -0.3), (9, -4.0)])
    assert parity([item()], [other]).apart == pytest.approx(0.5)
    assert parity([item()], [item(first_logprobs=[(8, -1.0)])]).apart is None


def test_prompts_that_nobody_saw_are_not_the_same() -> None:
    """Unknown is no proof of equal: a server rendered both."""
    unseen = {"prompt_sha256": None, "prompt_tokens": 10, "prompt_ids_sha256": None}
    unseen |= {"evaluated_tokens": None, "new_tokens": None, "template_sha256": None}
    one = item(**unseen)
    for other in (one, item()):
        found = parity([one], [other])
        assert not found.passed
        assert (found.same_prompt, found.same_ids, found.same_output) == (0, 0, 1)
        assert found.reasons == ("a run's prompts were not seen: a server rendered them",)


def test_tokens_that_nobody_would_say_are_left_out() -> None:
    one = item(first_logprobs=[(5, -0.01), (6, -5.0)])
    other = item(first_logprobs=[(5, -0.02), (6, -9.0)])
    assert parity([one], [other]).apart == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("quantisations", "passed"),
    [
        (("fp32", "fp32"), False),
        (("fp32", "fp16"), False),
        (("f16", "bf16"), False),
        (("fp32", "Q8_0"), False),
        (("Q4_K_M", "fp32"), True),
        (("int4", "int8"), True),
        (("w8a16", "fp32"), False),
        (("fp32", "nameless"), True),
        ((), True),
    ],
    ids=str,
)
def test_more_than_rounding_explains_is_a_reason(
    quantisations: tuple[str, ...], passed: bool
) -> None:
    """By the coarser of the two; where that is unknown nothing is judged."""
    other = item(first_logprobs=[(5, -0.1), (6, -2.8)])
    found = parity([item()], [other], quantisations)
    assert found.apart == pytest.approx(0.2)
    assert found.passed is passed
    assert [one for one in found.reasons if "rounding explains" in one] == list(found.reasons)


def test_one_item_that_rounding_hits_does_not_decide() -> None:
    names = [str(at) for at in range(5)]
    odd = item("0", first_logprobs=[(5, -0.1), (6, -0.2)])
    found = parity([item(name) for name in names], [odd, *map(item, names[1:])], ("f16", "fp32"))
    assert (found.apart, found.typically, found.passed) == (pytest.approx(2.8), 0, True)


@pytest.mark.parametrize(
    ("quantisations", "wrong", "passed"),
    [
        (("f16", "fp32"), 2, True),
        (("f16", "fp32"), 3, False),
        (("Q4_0", "Q4_0"), 3, False),
        (("Q4_0", "int4"), 3, True),  # other weights may answer otherwise
        (("iq3", "iq3"), 3, True),  # how near a tie is, is not known
    ],
    ids=str,
)
def test_an_error_that_a_few_items_have_is_no_rounding(
    quantisations: tuple[str, str], wrong: int, passed: bool
) -> None:
    """One in a hundred may begin with another token; the median of 200 sees none of them."""
    names = [str(at) for at in range(200)]
    flipped = [item(name, output="no", first_logprobs=[(6, -0.1), (5, -3.0)]) for name in names]
    right = [item(name) for name in names]
    found = parity(right, flipped[:wrong] + right[wrong:], quantisations)
    assert (found.parting.at_first, found.typically, found.passed) == (wrong, 0, passed)
    said = f"{wrong} of 200 answers begin with another token, and not at a tie"
    assert found.reasons == (() if passed else (said,))


def test_tolerances_grow_as_bits_fall() -> None:
    names = ("fp32", "F16", "Q8_0", "Q4_1")
    bounds = [tolerances.allowed(name) for name in names]
    assert bounds == sorted(bounds)  # type: ignore[type-var]
    assert len(set(bounds)) == len(names)
    assert tolerances.allowed("w8a16") == tolerances.allowed("int8")
    assert tolerances.allowed("nf4") == tolerances.allowed("int4")
    assert tolerances.allowed("iq3") is tolerances.allowed(None) is tolerances.allowed() is None


def test_where_answers_part() -> None:
    tie = item("tie", output="no", first_logprobs=[(6, -0.7), (5, -0.705)])
    first = item("first", output="no", first_logprobs=[(6, -0.1), (5, -3.0)])
    later = item("later", output="yes, and more")
    answers = [item("tie"), item("first"), item("later"), item("same")]
    found = parity(answers, [tie, first, later, item("same")], ("fp32", "f16"))
    assert found.parting == Parting(at_a_tie=1, at_first=1, later=1)
    assert found.same_output == 1


REASONS = {
    "image tokens": (item(image_tokens=16), item(image_tokens=17), "another number of tokens"),
    "doubled start": (item(), item(ids=[1, *IDS]), "the second run's prompts start with one more"),
    "start missing here": (item(), item(ids=IDS[1:]), "the first run's prompts start with one mo"),
    "lost control tokens": (item(ids=[1, 2, 3, *IDS]), item(), "the first run has more tokens"),
    "other template": (
        item(),
        item(template_sha256="b" * 64, prompt_sha256=sha256("other")),
        "the chat templates differ",
    ),
    "one template": (item(), item(prompt_sha256=sha256("other")), "rendered differently"),
    "unknown ids": (item(), item(prompt_ids_sha256=None), "does not say which token ids"),
    "nothing in common": (item("x"), item("y"), "no item in common"),
}


@pytest.mark.parametrize(("a", "b", "reason"), REASONS.values(), ids=REASONS)
def test_what_differs_is_named_and_scores_do_not_compare(a: Sample, b: Sample, reason: str) -> None:
    found = parity([a], [b])
    assert not found.passed
    assert [reason in one for one in found.reasons] == [True]


def test_nothing_answered_is_no_parity() -> None:
    failed = Sample(index=0, item="x", started="", seconds=1.0, cause="crashed")
    assert not parity([failed], [failed]).passed
    assert not parity([], []).passed
