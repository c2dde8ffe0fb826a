"""Calls written as Python, f(a=1, b=["x"]): read by a small grammar, never compiled or run.

Python's own parser is not used: deep nesting can crash it, and it folds look-alike letters of a
name into others, so that a call might be found which the text does not hold. The grammar is names
with dots, keyword arguments, and literals of the types that JSON has (a tuple counts as a list).
Everything else that Python allows makes the answer unparseable: positional arguments (which
parameter they fill is not said), variables, operators, f-strings, comprehensions.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from harness.run.tasks.tool_call_parsers.reading import (
    MAX_DEPTH,
    Call,
    Unreadable,
    after_thought,
    parser,
)

_CONSTANTS = {"True": True, "False": False, "None": None}
_CODE, _END_CODE = "<code>", "</code>"
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_BEGINS_CALL = re.compile(r"[A-Za-z_][\w.]*\(", re.ASCII)
_ASSIGNS = re.compile(r"[A-Za-z_]\w*[ \t]*=(?!=)", re.ASCII)
_NUMBER = re.compile(r"-?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_STRING = re.compile(
    r"[rR]?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\""
    r"|'(?!'')(?:[^'\\\n]|\\.)*'|\"(?!\"\")(?:[^\"\\\n]|\\.)*\")",
    re.DOTALL,
)


@parser
def pythonic(text: str) -> list[Call]:
    """`[f(a=1), g()]`, or one call without the brackets, as the whole answer; `[]` is no call."""
    said = after_thought(text).strip()
    if not said.startswith("[") and not _BEGINS_CALL.match(said):
        return []
    reader = _Reader(said)
    calls = reader.listed_calls() if said.startswith("[") else [reader.call()]
    if not reader.at_end():
        raise Unreadable("text after the calls")
    return calls


@parser
def smollm3_python(text: str) -> list[Call]:
    """SmolLM3's python_tools: calls as statements between <code> and </code>, in several blocks.

    A statement is a call, one whose value is given a name, or one that is printed; printing a name
    or a literal is no call. The last </code> may be missing if the statement before is complete.
    """
    said = after_thought(text)
    calls: list[Call] = []
    start = said.find(_CODE)
    if start < 0 and _END_CODE in said:
        raise Unreadable(f"{_END_CODE} without {_CODE}")
    while start >= 0:
        reader = _Reader(said, start + len(_CODE))
        calls += reader.statements()
        start = said.find(_CODE, reader.at)
    return calls


class _Reader:
    """Reads on from `at`; each method leaves it behind what it has read, or raises Unreadable."""

    def __init__(self, text: str, at: int = 0) -> None:
        self._text, self.at = text, at

    def at_end(self) -> bool:
        self._skip()
        return self.at == len(self._text)

    def listed_calls(self) -> list[Call]:
        self._expect("[")
        calls = []
        while not self._took("]"):
            calls.append(self.call())
            self._separate("]")
        return calls

    def statements(self) -> list[Call]:
        calls = []
        while not self._took(_END_CODE) and not self.at_end():
            if found := self._statement():
                calls.append(found)
            self._end_statement()
        return calls

    def call(self) -> Call:
        name = self._match(_DOTTED, "the name of a tool")
        self._expect("(")
        arguments: dict[str, Any] = {}
        while not self._took(")"):
            key = self._match(_NAME, "a keyword argument")
            self._expect("=")
            if key in arguments:
                raise Unreadable(f"argument {key} given twice")
            arguments[key] = self._value(MAX_DEPTH)
            self._separate(")")
        return Call(name, arguments)

    def _statement(self) -> Call | None:
        if assigned := _ASSIGNS.match(self._text, self.at):
            self.at = assigned.end()
        elif self._took("print("):
            printed = self._printed()
            self._expect(")")
            return printed
        return self.call()

    def _printed(self) -> Call | None:
        self._skip()
        name = _DOTTED.match(self._text, self.at)
        if name is None or name[0] in _CONSTANTS:
            self._value(MAX_DEPTH)
        elif self._text.startswith("(", name.end()):
            return self.call()
        else:
            self.at = name.end()
        return None

    def _end_statement(self) -> None:
        """Statements end with a line, a semicolon or the block."""
        before = self.at
        self._skip()
        ended = "\n" in self._text[before : self.at] or self.at == len(self._text)
        if not (ended or self._took(";") or self._text.startswith(_END_CODE, self.at)):
            raise Unreadable("text after a call")

    def _value(self, depth: int) -> Any:
        if depth == 0:
            raise Unreadable("nested too deeply")
        self._skip()
        for opening, closing in (("[", "]"), ("(", ")")):
            if self._took(opening):
                return self._items(closing, depth)
        if self._took("{"):
            return self._pairs(depth)
        return self._scalar()

    def _items(self, closing: str, depth: int) -> Any:
        """A list or tuple; one value in round brackets without a comma is that value."""
        values, commas = [], 0
        while not self._took(closing):
            values.append(self._value(depth - 1))
            commas += self._separate(closing)
        return values[0] if closing == ")" and len(values) == 1 and not commas else values

    def _pairs(self, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while not self._took("}"):
            key = self._scalar()
            if not isinstance(key, str):
                raise Unreadable("a key that is no string")
            self._expect(":")
            pairs[key] = self._value(depth - 1)
            self._separate("}")
        return pairs

    def _scalar(self) -> Any:
        self._skip()
        for pattern in (_STRING, _NUMBER):
            if found := pattern.match(self._text, self.at):
                self.at = found.end()
                return _literal(found[0])
        name = self._match(_NAME, "a literal")
        if name not in _CONSTANTS:
            raise Unreadable(f"{name} is no literal")
        return _CONSTANTS[name]

    def _separate(self, closing: str) -> bool:
        """Whether a comma was read; without one, `closing` must come next."""
        if self._took(","):
            return True
        if not self._text.startswith(closing, self.at):
            raise Unreadable(f"expected , or {closing} at character {self.at}")
        return False

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        self._skip()
        found = pattern.match(self._text, self.at)
        if found is None:
            raise Unreadable(f"expected {what} at character {self.at}")
        self.at = found.end()
        return found[0]

    def _expect(self, text: str) -> None:
        if not self._took(text):
            raise Unreadable(f"expected {text} at character {self.at}")

    def _took(self, text: str) -> bool:
        self._skip()
        if not self._text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def _skip(self) -> None:
        if found := _SPACE.match(self._text, self.at):
            self.at = found.end()


def _literal(token: str) -> Any:
    """The value of one string or number; a token has no depth, so this can't recurse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know is kept as it is
            return ast.literal_eval(token)
    except (SyntaxError, ValueError) as error:
        raise Unreadable(f"{token[:20]} is no literal") from error
