"""The model as a task's kind meets it: greedy, with a record of each request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import BadFile
from harness.run.chat_template import render
from harness.run.runtimes import (
    Answer,
    ArtifactRefused,
    Likelihoods,
    Runtime,
    Seen,
    Stop,
)
from harness.run.runtimes.parallel import Question

_START, _TOP = 8, 10
"""Enough of a prompt's ids to see a doubled start token, and of the first token's likeliest."""
_DIGITS = 6
"""Decimals that are kept of a window's log-probabilities, of which there are hundreds."""
_LONGEST_CHARACTER = 4  # bytes

Put = Callable[[Question], Answer]


class Listener:
    """Answers one item with a loaded runtime. Implements `harness.run.tasks.Respondent`.

    `answered` is called after each answer: a conversation may take longer than one is waited for.
    `put` gets a question answered; without it the runtime answers, and nothing else meanwhile.
    """

    def __init__(
        self,
        runtime: Runtime,
        template: str,
        item: str,
        answered: Callable[[], None] = lambda: None,
        put: Put | None = None,
    ) -> None:
        self.turns: list[dict[str, Any]] = []
        """As `harness.run.records.Turn`."""
        self._runtime, self._template, self._item = runtime, template, item
        self._answered = answered
        self._put = put or self._alone

    def answer(
        self,
        messages: Sequence[dict[str, Any]],
        max_new_tokens: int,
        *,
        images: Sequence[bytes] = (),
        tools: list[dict[str, Any]] | None = None,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
    ) -> str:
        prompt = render(self._template, messages, tools=tools)
        if tools and self._shows_nothing_more(prompt, messages):
            raise ArtifactRefused("the model's chat template shows no tools")
        seen = self._see(prompt, images)
        answer = self._put(
            Question(
                prompt=seen if images else seen.ids,
                new_tokens=max_new_tokens,
                top=_TOP,
                stop=self._stop(stop) if stop else None,
                mask=self._runtime.grammar(schema) if schema else None,
            )
        )
        self.turns.append(
            {
                "prompt_sha256": sha256(prompt),
                "prompt_tokens": len(seen.ids),
                "image_tokens": seen.image_tokens,
                "image_seconds": answer.image_seconds,
                "prompt_start": seen.ids[:_START],
                "prompt_ids_sha256": sha256(json.dumps(seen.ids)),
                "evaluated_tokens": answer.evaluated_tokens,
                "reused_tokens": answer.reused_tokens,
                "new_tokens": len(answer.tokens),
                "stopped": answer.stopped,
                "first_logprobs": answer.first_logprobs,
            }
        )
        self._answered()
        return before(self._text(answer), stop)

    def _text(self, answer: Answer) -> str:
        said = answer.tokens[:-1] if answer.stopped == "end" else answer.tokens
        return self._runtime.detokenize(said)

    def prompt_tokens(self, messages: Sequence[dict[str, Any]]) -> int:
        return len(self._runtime.tokenize(render(self._template, messages)))

    def likelihoods(self, context: str, options: Sequence[str]) -> list[float]:
        prefix, tails = self._split(context, options)
        found = self._weigh([context, *options], prefix, tails)
        self.turns[-1]["logprobs"] = found.logprobs
        return [sum(one) for one in found.logprobs]

    def window(self, text: str, at: int, length: int) -> list[tuple[float, bool]]:
        ids = self._runtime.tokenize(text, special=True)
        start = self._runtime.tokenize("", special=True)[:1]
        window = ids[at * length : (at + 1) * length]
        if len(window) < length:
            raise BadFile(f"item {self._item}: the text is over after {len(ids)} tokens")
        if start == ids[:1]:  # each window stands alone, and begins as a text does
            window[:1] = start
        half = length // 2 + 1
        prefix, rest = window[:half], window[half:]
        found = self._weigh([text, at, length], prefix, [rest])
        logprobs, likeliest = [round(one, _DIGITS) for one in found.logprobs[0]], found.likeliest[0]
        self.turns[-1] |= {"logprobs": [logprobs], "likeliest": [likeliest]}
        hits = (token == best for token, best in zip(rest, likeliest, strict=True))
        return list(zip(logprobs, hits, strict=True))

    def _alone(self, asked: Question) -> Answer:
        return self._runtime.evaluate(
            asked.prompt,
            asked.new_tokens,
            stop_at_end=True,
            top=asked.top,
            stop=asked.stop,
            reuse=True,
            mask=asked.mask,
        )

    def _weigh(self, asked: list[Any], prefix: list[int], tails: list[list[int]]) -> Likelihoods:
        """The likelihoods of some options; what was asked becomes a turn."""
        found = self._runtime.likelihoods(prefix, tails)
        self.turns.append(
            {
                "prompt_sha256": sha256(json.dumps(asked)),
                "prompt_tokens": len(prefix) + sum(len(tail) - 1 for tail in tails),
                "prompt_start": prefix[:_START],
                "prompt_ids_sha256": sha256(json.dumps([prefix, *tails])),
                "evaluated_tokens": found.evaluated_tokens,
                "reused_tokens": found.reused_tokens,
                "new_tokens": 0,
                "stopped": None,
            }
        )
        return found

    def _split(self, context: str, options: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """The ids of the context, and of what each option adds to it.

        Blanks at the end of the context go to the options: tokens begin with them. As lm-eval.
        """
        bare = context.rstrip()
        blanks = context[len(bare) :]
        prefix = self._runtime.tokenize(bare, special=True)
        wholes = (self._runtime.tokenize(bare + blanks + one, special=True) for one in options)
        tails = [whole[len(prefix) :] for whole in wholes]
        if not prefix or not all(tails):
            raise BadFile(f"item {self._item}: no context, or an option without a token")
        return prefix, tails

    def _shows_nothing_more(self, prompt: str, messages: Sequence[dict[str, Any]]) -> bool:
        """Whether a prompt with tools is the one without: the model would not know of any."""
        try:
            return render(self._template, messages) == prompt
        except BadFile:  # it can't do without tools, so it shows them
            return False

    def _see(self, prompt: str, images: Sequence[bytes]) -> Seen:
        if not images:
            return Seen(self._runtime.tokenize(prompt), 0, None)
        from harness.run.images import decode

        pixels = [decode(data, f"{at} of {self._item}") for at, data in enumerate(images, 1)]
        return self._runtime.see(prompt, pixels)

    def _stop(self, stop: Sequence[str]) -> Stop:
        """Looks at the last tokens only: each is a byte or more, and the first may be cut."""
        tail = max(len(text.encode()) for text in stop) + _LONGEST_CHARACTER

        def told(tokens: list[int]) -> bool:
            text = self._runtime.detokenize(tokens[-tail:])
            return any(one in text for one in stop)

        return told


def before(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first place where any of `stop` begins."""
    found = [at for one in stop if (at := text.find(one)) >= 0]
    return text[: min(found)] if found else text


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
