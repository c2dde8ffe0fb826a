"""BFCL's rule for one Python call: do these arguments equal one of the accepted answers?

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
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

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
NESTED = ("array", "tuple")
_OMITTABLE = ""
_IGNORED = re.compile(r"[ ,./\-_*^]")


@dataclass(frozen=True)
class Fault:
    """The first thing wrong with a call, and at which argument."""

    kind: Literal["unknown", "missing", "wrong_type", "wrong_value"]
    argument: str


def check(
    function: dict[str, Any], answers: dict[str, list[Any]], arguments: dict[str, Any]
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
    for name, value in arguments.items():
        kind = _value_fault(value, parameters[name], answers.get(name, []))
        if kind:
            return Fault(kind, name)
    return None


def _value_fault(
    value: Any, schema: dict[str, Any], answers: list[Any]
) -> Literal["wrong_type", "wrong_value"] | None:
    outer = PYTHON_TYPES[schema["type"]]
    inner = PYTHON_TYPES[schema["items"]["type"]] if schema["type"] in NESTED else None
    if schema["type"] == "float" and type(value) is int:
        try:
            value = float(value)
        except OverflowError:  # BFCL's checker crashes on such an integer
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
    right = value in answers if exactly else _matches(value, inner, answers)
    return None if right else "wrong_value"


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


def _matches(value: Any, inner: type | None, answers: list[Any]) -> bool:
    if isinstance(value, dict):
        return any(_dict_matches(value, answer) for answer in answers)
    if isinstance(value, list) and inner is dict:
        return any(_dicts_match(value, answer) for answer in answers)
    if isinstance(value, list):
        # An accepted "" becomes the empty list here, as in BFCL.
        keys = [_folded(answer) for answer in answers if isinstance(answer, list | str)]
        return _folded(value) in keys
    return _fold(value) in _folded(answers)


def _dict_matches(value: Any, answer: Any) -> bool:
    """`answer` gives each key its accepted values, as the answer key does for parameters."""
    if not isinstance(value, dict) or not isinstance(answer, dict):
        return False
    return all(
        key in answer and _fold(given) in _folded(answer[key]) for key, given in value.items()
    ) and all(key in value or _OMITTABLE in accepted for key, accepted in answer.items())


def _dicts_match(value: list[Any], answer: Any) -> bool:
    """In order, one answer each. Against "" only the empty list has the right length."""
    if not isinstance(answer, list | str):
        return False
    return len(value) == len(answer) and all(map(_dict_matches, value, answer))


def _folded(values: list[Any] | str) -> list[Any]:
    return [_fold(value) for value in values]


def _fold(value: Any) -> Any:
    """A string without what BFCL ignores; anything else as it is."""
    if isinstance(value, str):
        return _IGNORED.sub("", value).lower().replace("'", '"')
    return value
