"""Plays calls on the simulated objects of BFCL's conversations; a bare script in the sandbox.

Only the standard library, and mpmath where a call needs it. A call is [name, positional, named] of
values that JSON has: nothing that a model wrote is evaluated, and only the objects' public methods
can be called. What the objects' own code may import is named here.

`check` has the rules of bfcl-eval's multi_turn_checker; tests hold it to that. It departs from it
in two points, where that evaluates a call's text: there a name outside the objects may be one of
Python's own, and an argument is changed in whose text a method's name stands before a bracket.
"""

from __future__ import annotations

import builtins
import copy
import importlib
import inspect
import json
import types
from typing import Any

Call = list[Any]

_IMPORTED = ("copy", "datetime", "decimal", "math", "random", "typing")


class _Absent(types.ModuleType):
    """Texts for the long-context category, and subprocess: imported and not used here."""

    def __getattr__(self, name: str) -> None:
        return None


class _Later(types.ModuleType):
    """mpmath takes half a second to import, and one method of many uses it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def _import(name: str, *more: Any) -> Any:
    if name in _IMPORTED:
        return __import__(name, *more)
    return _Later(name) if name == "mpmath" else _Absent(name)


def classes(sources: dict[str, str]) -> dict[str, Any]:
    """The class of each name, out of the source of its module."""
    found = {}
    for name, source in sources.items():
        module = {"__builtins__": vars(builtins) | {"__import__": _import}, "__name__": name}
        exec(compile(source, name, "exec"), module)
        found[name] = module[name]
    return found


class Objects:
    """The objects of one entry, in the state that its configuration gives them."""

    def __init__(self, known: dict[str, Any], configuration: dict[str, Any]) -> None:
        self.held = {name: known[name]() for name in known}
        self._methods: dict[str, Any] = {}
        for name, one in self.held.items():
            if hasattr(one, "_load_scenario"):  # one has no state
                one._load_scenario(copy.deepcopy(configuration.get(name, {})))
            methods = inspect.getmembers(one, inspect.ismethod)
            self._methods |= {name: bound for name, bound in methods if not name.startswith("_")}

    def answer(self, call: Call) -> str:
        """What a call gives, as the model is told it."""
        name, positional, named = copy.deepcopy(call)
        if name not in self._methods:
            return f"Error during execution: name {name!r} is not defined"
        try:
            return _text(self._methods[name](*positional, **named))
        except Exception as error:  # whatever foreign code makes of foreign arguments
            return f"Error during execution: {error}"

    def differing(self, other: Objects) -> list[str]:
        """Public attributes in which the two are not equal."""
        return [
            f"{name}.{attribute}"
            for name, one in other.held.items()
            for attribute, value in vars(one).items()
            if not attribute.startswith("_")
            and _differ(vars(self.held[name]).get(attribute), value)
        ]


def _differ(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except RecursionError:  # a folder copied into itself
        return True


def _text(result: Any) -> str:
    if isinstance(result, dict):
        try:
            return json.dumps(result)
        except (TypeError, ValueError):
            return str(result)
    return str(result)


def check(
    known: dict[str, Any],
    configuration: dict[str, Any],
    turns: list[list[list[Call]]],
    right: list[list[Call]],
) -> dict[str, Any]:
    """The first turn that went wrong, and how: "calls" (none), "state" or "results"; or no turn.

    `turns` are steps of calls. After each turn the objects must be as the right calls leave others
    like them, and each result of the right calls must be among all results so far, as often. In a
    turn without right calls everything passes, and what it does to the objects stays.
    """
    model, wanted = Objects(known, configuration), Objects(known, configuration)
    results: list[str] = []
    for at, (steps, expected) in enumerate(zip(turns, right, strict=True)):
        results += [model.answer(call) for step in steps for call in step]
        due = [wanted.answer(call) for call in expected]
        if not expected:
            continue
        if not any(steps):
            return {"turn": at, "wrong": "calls", "detail": ["no call"]}
        if differing := model.differing(wanted):
            return {"turn": at, "wrong": "state", "detail": differing}
        if missing := _missing(due, results):
            return {"turn": at, "wrong": "results", "detail": missing}
    return {"turn": None}


def _missing(due: list[str], results: list[str]) -> list[str]:
    left, missing = list(results), []
    for one in due:
        if one in left:
            left.remove(one)
        else:
            missing.append(one)
    return missing


def main(asked: str) -> None:
    """Prints the check of a conversation where `right` is asked about, else the calls' results."""
    told = json.loads(asked)
    known = classes(told["sources"])
    if "right" in told:
        found: Any = check(known, told["configuration"], told["turns"], told["right"])
    else:
        objects = Objects(known, told["configuration"])
        found = [objects.answer(call) for call in told["calls"]]
    print(json.dumps(found))
