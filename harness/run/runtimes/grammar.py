"""A JSON schema held over an answer by llguidance: the same grammar whatever the runtime.

Before each token it is asked which ones may follow, and the likeliest of those is taken. So an
answer that ends by itself is JSON that the schema allows; one that is cut by the limit of length
need not be JSON at all.

Does not guarantee that an answer which would have followed the schema anyway stays as it was: the
grammar wants the keys in the schema's order, no white space around the value and little within it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from harness.run.runtimes import ArtifactRefused, Mask

_FORM: Any = {"whitespace_pattern": r"[ \t\r\n]{1,24}"}
"""Without an end to it a small model goes on with blanks for ever; deep indents need some."""


def tokens_of(tokenizer: str, vocabulary: int, ends: Iterable[int]) -> LLTokenizer:
    """From the JSON of a tokenizer (tokenizers' own), for logits over `vocabulary` tokens."""
    try:
        return LLTokenizer(tokenizer, n_vocab=vocabulary, eos_token=sorted(ends))
    except ValueError as error:
        raise ArtifactRefused(f"no grammar with this tokenizer: {error}") from error


def held(tokens: LLTokenizer, schema: dict[str, Any]) -> Mask:
    """The mask of one answer, to be asked once before each of its tokens."""
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides=_FORM)
    matcher = LLMatcher(tokens, grammar, log_level=0)

    def allowed(said: list[int]) -> NDArray[np.bool_]:
        if said:
            matcher.consume_token(said[-1])
        _check(matcher)
        return np.frombuffer(matcher.compute_logit_bias(), np.uint8).astype(np.bool_)

    _check(matcher)
    return allowed


def _check(matcher: LLMatcher) -> None:
    if matcher.is_error():
        raise ArtifactRefused(f"the grammar of the schema: {matcher.get_error()}")
