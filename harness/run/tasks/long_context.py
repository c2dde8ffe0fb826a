"""The task kind "long_context": facts in a long text, asked for at its end.

`made` says which facts (see `long_facts`). Each question is asked at each of the task's lengths:
the same facts at the same depths in a text that is longer. A length counts tokens of the model that
is asked, chat template, question and room for the answer included: filler is put in as long as one
more sentence fits, so every model gets its own text. What it was given can be made again from the
item and the model's tokenizer; the record has its number of tokens.

Items go round the lengths, so that the first N are spread over them; an item's id begins with its
length. The depth of what is asked for is spread evenly over the questions. Questions are one group
over all lengths.

An answer is right if it holds all references, wherever and in whatever case (RULER's rule, which
scores the share of them: `detail` has it). A number that is written with commas is not found.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.ask.lengths import LongContext
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Respondent, Score, wheel_data
from harness.run.tasks.filler import sentences
from harness.run.tasks.long_facts import MAKERS

VERSION = 1

OUTCOMES = {
    "empty": "nothing was said",
    "none_found": "no reference stands in the answer",
    "some_found": "some references stand in the answer, not all",
    "right": "all references stand in the answer",
}

_TEXT, _QUESTION = "{{ text }}", "{{ question }}"
_SHORTEST = 4
"""Tokens that a sentence of filler takes at the least; each has more words."""

Messages = list[dict[str, Any]]


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """The first `limit` items, or as many as are planned; `data` is not read.

    Raises BadFile for a prompt without its places and for rows that the lengths do not share out,
    UserError for too high a limit.
    """
    count, options = wheel_data.count(task, limit), _options(task)
    if any(task.prompt.count(place) != 1 for place in (_TEXT, _QUESTION)):
        raise BadFile(f"task {task.name}: the prompt must hold {_TEXT} and {_QUESTION} once each")
    per_length, rest = divmod(task.rows.available, len(options.lengths))
    if rest:
        raise BadFile(f"task {task.name}: rows.available must be a multiple of its lengths' number")
    every = itertools.product(range(per_length), options.lengths)
    return [_item(task, options, *one) for one in itertools.islice(every, count)]


def _item(task: Task, options: LongContext, number: int, length: int) -> Item:
    seed = f"{task.rows.seed}:{options.made}:{number}"
    hidden = MAKERS[options.made](random.Random(seed), depth(number))
    payload = {
        "length": length,
        "filler": seed,
        "facts": [list(fact) for fact in hidden.facts],
        "references": hidden.references,
    }
    prompt = task.prompt.replace(_QUESTION, hidden.question)
    return Item(
        f"{length}-{number:03}",
        [{"role": "user", "content": prompt}],
        payload,
        group=f"{number:03}",
        facets={"length": str(length)},
    )


def depth(number: int) -> float:
    """Van der Corput's sequence: 0, 1/2, 1/4, 3/4, 1/8 .. The first few are as even as all."""
    return sum((number >> bit & 1) / (2 << bit) for bit in range(number.bit_length()))


def beyond_messages(task: Task) -> str | None:
    return "prompts of a length that is counted in tokens"


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    messages = fitted(item, task.max_new_tokens, respondent.prompt_tokens)
    return respondent.answer(messages, task.max_new_tokens)


def fitted(item: Item, answer: int, tokens: Callable[[Messages], int]) -> Messages:
    """The item's messages, as long as its length allows with room for `answer` tokens.

    `tokens` counts those of a prompt. Raises BadFile where not even the facts alone fit.
    """
    length = item.payload["length"]
    filler = list(itertools.islice(sentences(item.payload["filler"]), length // _SHORTEST))

    def messages(count: int) -> Messages:
        (message,), text = item.messages, _text(filler[:count], item.payload["facts"])
        return [message | {"content": message["content"].replace(_TEXT, text)}]

    fits = bisect_right(
        range(len(filler) + 1), length - answer, key=lambda count: tokens(messages(count))
    )
    if not fits:
        raise BadFile(
            f"item {item.id}: the question alone takes more than {length - answer} tokens"
        )
    return messages(fits - 1)


def _text(filler: Sequence[str], facts: Sequence[tuple[float, str]]) -> str:
    """The filler with each fact at its depth; of two at one place the first comes first."""
    parts = list(filler)
    for at, fact in sorted(facts, key=lambda one: one[0])[::-1]:
        parts.insert(round(at * len(filler)), fact)
    return " ".join(parts)


def score(item: Item, output: str) -> Score:
    """The outcome of a raw answer, as OUTCOMES defines it."""
    said, wanted = output.lower(), item.payload["references"]
    missing = [one for one in wanted if one.lower() not in said]
    found = len(wanted) - len(missing)
    detail = f"{found} of {len(wanted)}" + (f"; not {', '.join(missing)}" if missing else "")
    if not output.strip():
        return Score("empty", False, detail)
    if missing:
        return Score("some_found" if found else "none_found", False, detail)
    return Score("right", True, detail)


def _options(task: Task) -> LongContext:
    if not isinstance(task.options, LongContext):
        raise TypeError(f"task {task.name} is of the kind {task.options.kind}")
    return task.options
