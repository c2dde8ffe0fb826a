"""What a model's calls are worth against the expected ones, and what BFCL would say of them.

What fits an expectation is the caller's matter: a `Fault` finder is told a call and an entry of the
answer key, and answers with what is wrong with the call, or None. It is asked for calls of the
expected function only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.run.tasks.bfcl_ast import Fault
from harness.run.tasks.tool_call_parsers import Call, Parsed

Functions = Sequence[dict[str, Any]]
Entry = Mapping[str, Any]
"""One expected call: what the answer key says of the arguments, by the function's name."""
FaultFinder = Callable[[Call, Entry], Fault | None]
RIGHT = ("exact", "")


def outcome(
    parsed: Parsed,
    output: str,
    functions: Functions,
    expected: Sequence[Entry] | None,
    fault: FaultFinder,
) -> tuple[str, str]:
    """The outcome of an answer, as `tool_calls.OUTCOMES` defines it, and the reason.

    `expected` None: some call is right, but the data do not say which.
    """
    if parsed.state == "unparseable":
        return "unparseable", parsed.problem
    if not parsed.calls and (named := _written_as_call(output, functions)):
        return "unparseable", f"{named}(..) is not in the format asked for"
    offered = {function["name"]: function for function in functions}
    for call in parsed.calls:
        if call.name not in offered:
            return "invented_tool", f"{call.name!r} was not offered"
    if expected is None:
        faults = (_unusable(call, offered[call.name]) for call in parsed.calls)
        nothing = ("missing_call", "no call where some call is right")
        return next(filter(None, faults), RIGHT if parsed.calls else nothing)
    counts = f"{len(parsed.calls)} calls, {len(expected)} expected"
    if len(parsed.calls) > len(expected):
        return "spurious_call", counts
    if len(parsed.calls) < len(expected):
        return "missing_call", counts
    if not expected:
        return "clean_abstention", "no call, none expected"
    return _of_as_many(parsed.calls, expected, fault) or RIGHT


def bfcl_finds_right(parsed: Parsed, expected: Sequence[Entry] | None, fault: FaultFinder) -> bool:
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
        at = next((at for at, call in left.items() if _fits(call, entry, fault)), None)
        if at is None:
            return False
        del left[at]
    return True


def _of_as_many(
    calls: Sequence[Call], expected: Sequence[Entry], fault: FaultFinder
) -> tuple[str, str] | None:
    """The outcome and its reason if as many offered calls as are expected are not the right ones.

    Calls may come in any order: they are right if there is a way to give each its own expectation.
    Of several faults, another function comes before an argument that a function does not have,
    and that before a wrong one.
    """
    pairs = _pairs(len(expected), len(calls), lambda at, to: _fits(calls[to], expected[at], fault))
    if len(pairs) == len(expected):
        return None
    wanted = Counter(name for entry in expected for name in entry)
    given = Counter(call.name for call in calls)
    if wanted != given:
        return "missing_call", f"{_names(given - wanted)} instead of {_names(wanted - given)}"
    taken = set(pairs.values())
    found = []
    for at in (at for at in range(len(expected)) if at not in pairs):
        (name,) = expected[at]
        to = next(to for to, call in enumerate(calls) if call.name == name and to not in taken)
        taken.add(to)
        if wrong := fault(calls[to], expected[at]):
            found.append(told(calls[to], wrong))
    return min(found)  # by name, invented_argument comes before wrong_argument


def _unusable(call: Call, function: dict[str, Any]) -> tuple[str, str] | None:
    """The outcome of a call that `function` would not take, whatever the values mean."""
    parameters = function["parameters"]
    for name in call.arguments:
        if name not in parameters["properties"]:
            return told(call, Fault("unknown", name))
    for name in parameters.get("required", []):
        if name not in call.arguments:
            return told(call, Fault("missing", name))
    return None


def _fits(call: Call, entry: Entry, fault: FaultFinder) -> bool:
    return call.name in entry and fault(call, entry) is None


def _written_as_call(output: str, functions: Functions) -> str | None:
    """A function that the text calls some other way, name(..); defining it is no call."""
    names = "|".join(re.escape(function["name"]) for function in functions)
    found = re.search(rf"(?<![\w.])(?<!\bdef )({names})\(", output)
    return found[1] if found else None


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
