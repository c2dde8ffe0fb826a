"""Did two runs of one task put the same question to the model? Scores compare only if they did.

Compared by item: the rendered prompt, its token ids, and the answer. A prompt that became other
tokens is told by its usual reasons: another chat template, a start token too many, control tokens
that a tokenizer took for text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.run.records import ItemData, Sample


@dataclass(frozen=True)
class Parity:
    """Counts over the `items` that both runs answered.

    `apart`: the largest difference between two log-probabilities of one first token, over the
    tokens that are among the likeliest of both; None where none was recorded.
    """

    items: int
    same_prompt: int
    same_ids: int
    same_output: int
    apart: float | None
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the scores of the two runs compare."""
        return self.items > 0 and self.same_prompt == self.same_ids == self.items


def parity(a: Sequence[Sample], b: Sequence[Sample]) -> Parity:
    """What two runs of one task have in common, whatever order they took the items in."""
    left, right = _items(a), _items(b)
    pairs = [(left[item], right[item]) for item in left if item in right]
    return Parity(
        items=len(pairs),
        same_prompt=sum(one.prompt_sha256 == other.prompt_sha256 for one, other in pairs),
        same_ids=sum(_same_ids(one, other) for one, other in pairs),
        same_output=sum(one.output == other.output for one, other in pairs),
        apart=max((found for pair in pairs for found in _apart(*pair)), default=None),
        reasons=tuple(_reasons(pairs, _template(a), _template(b))),
    )


def _items(samples: Sequence[Sample]) -> dict[str, ItemData]:
    return {one.data.item: one.data for one in samples if isinstance(one.data, ItemData)}


def _template(samples: Sequence[Sample]) -> str | None:
    answers = (one.data for one in samples if isinstance(one.data, ItemData))
    return next((data.template_sha256 for data in answers if data.template_sha256), None)


def _same_ids(one: ItemData, other: ItemData) -> bool:
    """Unknown ids are no proof of equal ones."""
    return one.prompt_ids_sha256 is not None and one.prompt_ids_sha256 == other.prompt_ids_sha256


def _apart(one: ItemData, other: ItemData) -> list[float]:
    there = dict(other.first_logprobs)
    return [abs(value - there[token]) for token, value in one.first_logprobs if token in there]


def _reasons(
    pairs: Sequence[tuple[ItemData, ItemData]], template_a: str | None, template_b: str | None
) -> list[str]:
    """Why prompts or ids differ, most telling first; empty where none does."""
    if not pairs:
        return ["no item in common"]
    found = []
    if any(None in (one.prompt_ids_sha256, other.prompt_ids_sha256) for one, other in pairs):
        found.append("a run does not say which token ids it saw")
    if template_a != template_b:
        found.append("the chat templates differ")
    elif any(one.prompt_sha256 != other.prompt_sha256 for one, other in pairs):
        found.append("one template, and it was rendered differently")
    same_text = [
        (one, other)
        for one, other in pairs
        if one.prompt_sha256 == other.prompt_sha256 and not _same_ids(one, other)
    ]
    for name, (mine, theirs) in (("first", (0, 1)), ("second", (1, 0))):
        if any(_starts_twice(pair[mine], pair[theirs]) for pair in same_text):
            found.append(f"the {name} run's prompts start with one more token (a doubled start?)")
    longer = [one.prompt_tokens - other.prompt_tokens for one, other in same_text]
    if longer and abs(median(longer)) > 1:
        name = "first" if median(longer) > 0 else "second"
        found.append(f"the {name} run has more tokens: control tokens taken for text?")
    return found


def _starts_twice(one: ItemData, other: ItemData) -> bool:
    """Whether `one` begins with a token more than `other`, which follows after it."""
    return (
        one.prompt_tokens == other.prompt_tokens + 1
        and len(one.prompt_start) > 1
        and one.prompt_start[1:] == other.prompt_start[: len(one.prompt_start) - 1]
    )
