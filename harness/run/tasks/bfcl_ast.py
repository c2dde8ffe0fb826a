"""BFCL's rule for one call: do these arguments equal one of the accepted answers?

The rule is the leaderboard's (bfcl-eval 2026.3.23, ast_checker.py), kept with its oddities so that
a score means what BFCL's means; a test holds this code to theirs. An answer key gives each
parameter a list of accepted values, in which "" says that it may be left out. The oddities:

- Types are exact: 5.0 or "5" for an integer fails, and true is no integer. An integer passes for a
  float, but not inside an array of floats.
- Strings are compared without case, without space and ,./-_*^, and with ' as ": "-1.5" equals "15".
  So are the strings directly in an array or a dict; deeper ones are compared as they are.
- Numbers deeper than that compare as Python does: 1, 1.0 and true are equal.
- A parameter whose accepted values are not of its declared type is compared exactly with them.
- Where "" is accepted, giving "" for a string passes, and so does [] for an array.
- A required parameter must be there even where "" is accepted.
- Arguments of Java and JavaScript functions must be strings, and are read by bfcl_languages.

The rule "canonical" is the same but for one oddity: a string that is a number keeps its sign and
its point, so "-1.5" does not equal "15".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.run.tasks import bfcl_languages

Rule = Literal["canonical", "bfcl"]
FaultKind = Literal["unknown", "missing", "wrong_type", "wrong_value"]

PYTHON_TYPES: dict[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
TYPES = {"python": PYTHON_TYPES, **bfcl_languages.TYPES}
NESTED = ("array", "tuple", "Array", "ArrayList")
_OMITTABLE = ""
_IGNORED = re.compile(r"[ ,./\-_*^]")
_NUMBER = re.compile(r"-?\d*\.?\d+")


@dataclass(frozen=True)
class Fault:
    """The first thing wrong with a call, and at which argument."""

    kind: FaultKind
    argument: str


def check(
    function: dict[str, Any],
    answers: dict[str, list[Any]],
    arguments: dict[str, Any],
    language: str = "python",
    rule: Rule = "canonical",
) -> Fault | None:
    """None if `arguments` is a right call of `function`; `answers` is the key's, by parameter.

    Unknown arguments are looked for first, missing ones next, then types and values in the call's
    own order; whether there is a fault doesn't depend on that order.
    """
    parameters = function["parameters"]["properties"]
    for name in arguments:
        if name not in parameters:
            return Fault("unknown", name)
    keyed = [name for name, accepted in answers.items() if _OMITTABLE not in accepted]
    for name in [*function["parameters"]["required"], *keyed]:
        if name not in arguments:
            return Fault("missing", name)
    values = _Values(TYPES[language], language, _fold if rule == "bfcl" else _fold_but_numbers)
    for name, value in arguments.items():
        kind = values.fault(value, parameters[name], answers.get(name, []))
        if kind:
            return Fault(kind, name)
    return None


@dataclass(frozen=True)
class _Values:
    """Compares values of one language, strings as `fold` makes them."""

    types: dict[str, type]
    language: str
    fold: Callable[[Any], Any]

    def fault(
        self, value: Any, schema: dict[str, Any], answers: list[Any]
    ) -> Literal["wrong_type", "wrong_value"] | None:
        outer, inner = self.types[schema["type"]], None
        if schema["type"] in NESTED:
            inner = self.types[schema["items"]["type"]]
        try:
            value = self._read(value, schema)
        except TypeError:
            return "wrong_type"
        except (OverflowError, ValueError):  # BFCL's checker crashes on such an integer
            return "wrong_value"
        given = _type_of(answers)
        if type(value) is outer:
            if inner and not _items_fit(value, inner, answers):
                return "wrong_type"
            exactly = given not in (None, outer)
        elif given and type(value) is given:
            exactly = True
        else:
            return "wrong_type"
        right = value in answers if exactly else self._matches(value, inner, answers)
        return None if right else "wrong_value"

    def _read(self, value: Any, schema: dict[str, Any]) -> Any:
        if self.language == "python":
            whole = schema["type"] == "float" and type(value) is int
            return float(value) if whole else value
        if not isinstance(value, str):
            raise TypeError
        inner = schema["items"]["type"] if schema["type"] in NESTED else None
        return bfcl_languages.value_of(self.language, value, schema["type"], inner)

    def _matches(self, value: Any, inner: type | None, answers: list[Any]) -> bool:
        if isinstance(value, dict):
            return any(self._dict_matches(value, answer) for answer in answers)
        if isinstance(value, list) and inner is dict:
            return any(self._dicts_match(value, answer) for answer in answers)
        if isinstance(value, list):
            # An accepted "" becomes the empty list here, as in BFCL.
            keys = [self._folded(answer) for answer in answers if isinstance(answer, list | str)]
            return self._folded(value) in keys
        return self.fold(value) in self._folded(answers)

    def _dict_matches(self, value: Any, answer: Any) -> bool:
        """`answer` gives each key its accepted values, as the answer key does for parameters."""
        if not isinstance(value, dict) or not isinstance(answer, dict):
            return False
        return all(
            key in answer and self.fold(given) in self._folded(answer[key])
            for key, given in value.items()
        ) and all(key in value or _OMITTABLE in accepted for key, accepted in answer.items())

    def _dicts_match(self, value: list[Any], answer: Any) -> bool:
        """In order, one answer each. Against "" only the empty list has the right length."""
        if not isinstance(answer, list | str):
            return False
        return len(value) == len(answer) and all(map(self._dict_matches, value, answer))

    def _folded(self, values: list[Any] | str) -> list[Any]:
        return [self.fold(value) for value in values]


def _type_of(answers: list[Any]) -> type | None:
    """The type of the first answer that is not the mark of an omittable parameter."""
    return next((type(answer) for answer in answers if answer != _OMITTABLE), None)


def _items_fit(value: Any, inner: type, answers: list[Any]) -> bool:
    """Whether every item has the declared type, or that of the first item of some answer.

    An accepted "" lets every item pass here, as in BFCL; the values are still compared.
    """
    return any(
        not isinstance(answer, list)
        or all(type(item) in (inner, _type_of(answer)) for item in value)
        for answer in answers
    )


def _fold(value: Any) -> Any:
    """A string without what BFCL ignores; anything else as it is."""
    if isinstance(value, str):
        return _IGNORED.sub("", value).lower().replace("'", '"')
    return value


def _fold_but_numbers(value: Any) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return value.strip()
    return _fold(value)
