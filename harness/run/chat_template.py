"""Renders a model's chat template the way the transformers library does, without trusting it.

A template is a program that came with a model file. It runs in Jinja's immutable sandbox: no
loader, so no file; no underscore attributes, so no way to Python; nothing it is given can be
changed. Its output is cut off at a size. Its time and memory are not bounded here: an endless loop
or a huge string ends with the worker's timeout or memory limit, so render in a worker.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.errors import BadFile

MAX_CHARS = 4_000_000
TODAY = datetime(2025, 7, 1)
"""What templates get as the present: the same item must render to the same tokens on every day."""


class _Generation(Extension):
    """`{% generation %}..{% endgeneration %}` marks what the model said; it prints as it stands."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own escapes HTML; the libraries' doesn't, and keeps the order of keys."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = TODAY.strftime
    return environment


def render(
    template: str,
    messages: Sequence[dict[str, Any]],
    *,
    add_generation_prompt: bool = True,
    bos_token: str = "",
    eos_token: str = "",
    tools: list[dict[str, Any]] | None = None,
) -> str:
    """The prompt for `messages`. Raises BadFile where there is no template or it does wrong.

    A name that the template uses and nobody set is empty, as in transformers. Running out of memory
    is passed on: it is the machine's trouble, not the template's, until the worker has said so.
    """
    if not template:  # it would make a prompt of nothing
        raise BadFile(
            "no chat template: a model that was not taught to chat can't be asked this way"
        )
    parts, size = [], 0
    known = {
        "messages": messages,
        "add_generation_prompt": add_generation_prompt,
        "bos_token": bos_token,
        "eos_token": eos_token,
        "tools": tools,
    }
    try:
        for part in _environment().from_string(template).generate(known):
            parts.append(part)
            size += len(part)
            if size > MAX_CHARS:
                raise TemplateError(f"it writes more than {MAX_CHARS} characters")
    except MemoryError:
        raise
    except Exception as error:  # a foreign program: any exception can come out of it
        raise BadFile(f"chat template: {type(error).__name__}: {error}") from error
    return "".join(parts)
