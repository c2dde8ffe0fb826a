"""Did two runs of one task put the same question to the model? Scores compare only if they did.

Compared by item: the rendered prompt, its token ids, the tokens that images took, the first token's
log-probabilities and the answer. A prompt that became other tokens is told by its usual reasons:
another chat template, a start token too many, control tokens that a tokenizer took for text.

Answers may differ where the probabilities are as near as rounding allows: two likeliest tokens that
are as good as equal fall one way here and the other way there. Of answers that part after their
first token that cannot be told, as no other token's probabilities are recorded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.judge import tolerances
from harness.run.records import ItemData, Sample


@dataclass(frozen=True)
class Parity:
    """Counts over the `items` that both runs answered.

    `apart`: the largest difference between two log-probabilities of one first token, over the
    tokens that both have among the likeliest and one holds for LIKELY; `typically`: the median of
    each item's largest; None where none was recorded. `allowed`: how much of that median rounding
    explains; None where it is not known.
    """

    items: int
    same_prompt: int
    same_ids: int
    same_image_tokens: int
    same_output: int
    apart: float | None
    typically: float | None
    allowed: float | None
    reasons: tuple[str, ...]
    parting: Parting

    @property
    def passed(self) -> bool:
        """Whether the scores of the two runs compare."""
        return self.items > 0 and not self.reasons


LIKELY = 0.01
"""Tokens below this share are left out: their logarithms are far apart, and they are never said."""


@dataclass(frozen=True)
class Parting:
    """Where answers that differ part, as counts of items.

    `at_a_tie`: at the first token, and its two likeliest are no further apart than is allowed.
    """

    at_a_tie: int
    at_first: int
    later: int


def parity(
    a: Sequence[Sample], b: Sequence[Sample], quantisations: tuple[str | None, ...] = ()
) -> Parity:
    """What two runs of one task have in common, whatever order they took the items in.

    `quantisations` are those of the two: by them the difference that rounding explains is known.
    """
    left, right = _items(a), _items(b)
    allowed = tolerances.allowed(*quantisations)
    pairs = [(left[item], right[item]) for item in left if item in right]
    largest = [max(found) for pair in pairs if (found := _apart(*pair))]
    typically = median(largest) if largest else None
    parting = _parting(pairs, allowed or 0.0)
    reasons = [*_reasons(pairs, _template(a), _template(b)), *_too_far(typically, allowed)]
    if allowed is not None and tolerances.same_weights(*quantisations):
        reasons += _too_many(parting.at_first, len(pairs))
    return Parity(
        items=len(pairs),
        same_prompt=sum(_same_prompt(one, other) for one, other in pairs),
        same_ids=sum(_same_ids(one, other) for one, other in pairs),
        same_image_tokens=sum(_same_image_tokens(one, other) for one, other in pairs),
        same_output=sum(_said(one) == _said(other) for one, other in pairs),
        apart=max(largest, default=None),
        typically=typically,
        allowed=allowed,
        reasons=tuple(reasons),
        parting=parting,
    )


def obstacle(a: Sequence[Sample], b: Sequence[Sample]) -> str | None:
    """Why two runs were not asked the same. How far their answers are apart is not looked at: that
    is what a pair of artifacts is run for."""
    found = parity(a, b)
    other = found.items - found.same_ids
    reasons = [*found.reasons, *([f"other token ids in {other} of {found.items}"] if other else [])]
    return f"the two runs do not compare: {reasons[0]}" if reasons else None


def _same_image_tokens(one: ItemData, other: ItemData) -> bool:
    """A record from before there were images had none."""
    return (one.image_tokens or 0) == (other.image_tokens or 0)


def _too_far(typically: float | None, allowed: float | None) -> list[str]:
    if typically is None or allowed is None or typically <= allowed:
        return []
    return [f"first tokens are typically {typically:.2g} apart, and rounding explains {allowed:g}"]


def _too_many(unexplained: int, items: int) -> list[str]:
    if unexplained <= items * tolerances.UNEXPLAINED:
        return []
    return [f"{unexplained} of {items} answers begin with another token, and not at a tie"]


def _parting(pairs: Sequence[tuple[ItemData, ItemData]], allowed: float) -> Parting:
    differ = [pair for pair in pairs if _said(pair[0]) != _said(pair[1])]
    first = [pair for pair in differ if _likeliest(pair[0]) != _likeliest(pair[1])]
    ties = [pair for pair in first if min(map(_lead, pair)) <= allowed]
    return Parting(len(ties), len(first) - len(ties), len(differ) - len(first))


def _said(item: ItemData) -> str:
    """The answer; of options whose likelihoods are told, the one that they favour."""
    return item.detail if item.logprobs else item.output


def _likeliest(item: ItemData) -> int | None:
    return max(item.first_logprobs, key=lambda one: one[1])[0] if item.first_logprobs else None


def _lead(item: ItemData) -> float:
    """By how much the likeliest first token leads the next one."""
    best = sorted((value for _, value in item.first_logprobs), reverse=True)[:2]
    return best[0] - best[1] if len(best) == 2 else math.inf


def _items(samples: Sequence[Sample]) -> dict[str, ItemData]:
    return {one.data.item: one.data for one in samples if isinstance(one.data, ItemData)}


def _template(samples: Sequence[Sample]) -> str | None:
    answers = (one.data for one in samples if isinstance(one.data, ItemData))
    return next((data.template_sha256 for data in answers if data.template_sha256), None)


def _same_prompt(one: ItemData, other: ItemData) -> bool:
    """A prompt that nobody saw is the same as none."""
    return one.prompt_sha256 is not None and one.prompt_sha256 == other.prompt_sha256


def _same_ids(one: ItemData, other: ItemData) -> bool:
    """Unknown ids are no proof of equal ones."""
    return one.prompt_ids_sha256 is not None and one.prompt_ids_sha256 == other.prompt_ids_sha256


def _apart(one: ItemData, other: ItemData) -> list[float]:
    there, least = dict(other.first_logprobs), math.log(LIKELY)
    return [
        abs(value - there[token])
        for token, value in one.first_logprobs
        if token in there and max(value, there[token]) >= least
    ]


def _reasons(
    pairs: Sequence[tuple[ItemData, ItemData]], template_a: str | None, template_b: str | None
) -> list[str]:
    """Why prompts or ids differ, most telling first; empty where none does."""
    if not pairs:
        return ["no item in common"]
    found = []
    if any(None in (one.prompt_sha256, other.prompt_sha256) for one, other in pairs):
        return ["a run's prompts were not seen: a server rendered them"]
    if any(None in (one.prompt_ids_sha256, other.prompt_ids_sha256) for one, other in pairs):
        found.append("a run does not say which token ids it saw")
    if template_a != template_b:
        found.append("the chat templates differ")
    elif not all(_same_prompt(one, other) for one, other in pairs):
        found.append("one template, and it was rendered differently")
    same_text = [
        (one, other)
        for one, other in pairs
        if _same_prompt(one, other) and not _same_ids(one, other)
    ]
    for name, (mine, theirs) in (("first", (0, 1)), ("second", (1, 0))):
        if any(_starts_twice(pair[mine], pair[theirs]) for pair in same_text):
            found.append(f"the {name} run's prompts start with one more token (a doubled start?)")
    if not all(_same_image_tokens(one, other) for one, other in pairs):
        found.append("an image takes another number of tokens")
    longer = [_tokens(one) - _tokens(other) for one, other in same_text]
    if longer and abs(median(longer)) > 1:
        name = "first" if median(longer) > 0 else "second"
        found.append(f"the {name} run has more tokens: control tokens taken for text?")
    return found


def _tokens(item: ItemData) -> int:
    """Known wherever the prompt was seen."""
    return item.prompt_tokens or 0


def _starts_twice(one: ItemData, other: ItemData) -> bool:
    """Whether `one` begins with a token more than `other`, which follows after it."""
    return (
        _tokens(one) == _tokens(other) + 1
        and len(one.prompt_start) > 1
        and one.prompt_start[1:] == other.prompt_start[: len(one.prompt_start) - 1]
    )
