"""What the families of checkers share: their form, and how often something has to be there."""

from __future__ import annotations

from collections.abc import Callable

Checker = Callable[..., bool]
"""Of an answer, and by name of what its row gives. Never raises on what a model wrote."""

RELATIONS = ("less than", "at least")


def enough(count: int, relation: str, wanted: int) -> bool:
    """Whether `count` is less than, or at least, what is wanted."""
    return count < wanted if relation == RELATIONS[0] else count >= wanted
