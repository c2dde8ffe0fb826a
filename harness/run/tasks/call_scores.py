"""What a model's calls are worth against the expected ones, by the canonical rule and by BFCL's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.run.tasks import bfcl_ast
from harness.run.tasks.bfcl_ast import Fault, Rule
from harness.run.tasks.tool_call_parsers import Call, Parsed

Functions = Mapping[str, dict[str, Any]]
"""The offered functions by name."""
Expected = Sequence[dict[str, dict[str, list[Any]]]]
"""One entry per call: the function's name, and what the answer key accepts for each parameter."""


def bfcl_finds_right(
    parsed: Parsed, functions: Functions, expected: Expected | None, language: str
) -> bool:
    """BFCL's verdict on an answer, with its three generosities and one injustice.

    Where no call is right, everything that cannot be read passes; where some call is right
    (`expected` None), every readable one passes; names are not looked at in either. Of several
    calls the first that fits an expectation is taken for it, even if it is the only one that
    fits a later one, so some right answers fail.
    """
    if expected is None or not expected:
        return bool(parsed.calls) is (expected is None)
    if len(parsed.calls) != len(expected):
        return False
    left = dict(enumerate(parsed.calls))
    for entry in expected:
        fits = (
            at for at, call in left.items() if not _fault(call, entry, functions, language, "bfcl")
        )
        at = next(fits, None)
        if at is None:
            return False
        del left[at]
    return True


def fault_of(
    calls: Sequence[Call], functions: Functions, expected: Expected, language: str
) -> tuple[str, str] | None:
    """The outcome and its reason if as many offered calls as are expected are not the right ones.

    Calls may come in any order: they are right if there is a way to give each its own expectation.
    Of several faults, another function comes before an argument that a function does not have,
    and that before a wrong one.
    """
    pairs = _pairs(
        len(expected),
        len(calls),
        lambda at, to: _fault(calls[to], expected[at], functions, language, "canonical") is None,
    )
    if len(pairs) == len(expected):
        return None
    wanted, given = (
        Counter(name for entry in expected for name in entry),
        Counter(call.name for call in calls),
    )
    if wanted != given:
        return "missing_call", f"{_names(given - wanted)} instead of {_names(wanted - given)}"
    taken = set(pairs.values())
    faults = []
    for at in (at for at in range(len(expected)) if at not in pairs):
        (name,) = expected[at]
        to = next(to for to, call in enumerate(calls) if call.name == name and to not in taken)
        taken.add(to)
        fault = _fault(calls[to], expected[at], functions, language, "canonical")
        if fault:
            faults.append(told(calls[to], fault))
    return min(faults)  # by name, invented_argument comes before wrong_argument


def unusable(call: Call, function: dict[str, Any]) -> tuple[str, str] | None:
    """The outcome of a call that `function` would not take, whatever the values mean."""
    parameters = function["parameters"]
    for name in call.arguments:
        if name not in parameters["properties"]:
            return told(call, Fault("unknown", name))
    for name in parameters.get("required", []):
        if name not in call.arguments:
            return told(call, Fault("missing", name))
    return None


def told(call: Call, fault: Fault) -> tuple[str, str]:
    """A fault as outcome and reason."""
    if fault.kind == "unknown":
        return "invented_argument", f"{fault.argument!r} is no argument of {call.name}"
    if fault.kind == "missing":
        return "wrong_argument", f"{fault.argument!r} is missing"
    given = call.arguments[fault.argument]
    return "wrong_argument", f"{fault.argument!r}: {fault.kind.replace('_', ' ')}: {given!r}"


def _names(counts: Counter[str]) -> str:
    return ", ".join(repr(name) for name in counts.elements())


def _fault(
    call: Call,
    entry: dict[str, dict[str, list[Any]]],
    functions: Functions,
    language: str,
    rule: Rule,
) -> Fault | None:
    ((name, answers),) = entry.items()
    if call.name != name:
        return Fault("missing", name)
    return bfcl_ast.check(functions[name], answers, call.arguments, language, rule)


def _pairs(left: int, right: int, fits: Callable[[int, int], bool]) -> dict[int, int]:
    """As many pairs of a left and a right one that fit as there can be (augmenting paths)."""
    edges = [[to for to in range(right) if fits(at, to)] for at in range(left)]
    owner: dict[int, int] = {}

    def place(at: int, seen: set[int]) -> bool:
        for to in edges[at]:
            if to not in seen:
                seen.add(to)
                if to not in owner or place(owner[to], seen):
                    owner[to] = at
                    return True
        return False

    for at in range(left):
        place(at, set())
    return {at: to for to, at in owner.items()}
