"""A server that a cell is about to be asked of: whether it answers, and what it calls the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from harness.ask.models import Model
from harness.errors import MissingError
from harness.plan import served
from harness.run.endpoint import BASE, LOOPBACK, without_path
from harness.run.records import EndpointRecord
from harness.run.runtimes import ArtifactRefused

_SHOWN = 5


def reached(model: Model, offline: bool) -> tuple[EndpointRecord, str]:
    """Asks the server for its list: what a record says, and the name that the server knows.

    Raises MissingError where it can't be used for the model.
    """
    from harness.run.runtimes.openai import OpenAi

    place = served.where(model)
    if offline and place != LOOPBACK:
        raise MissingError(f"offline was asked for, and {BASE} names another machine")
    try:
        listed = OpenAi().listed()
    except ArtifactRefused as error:
        raise MissingError(str(error)) from error
    name = _named(model, listed)
    return EndpointRecord(place=place, model=without_path(name)), name


def _named(model: Model, listed: Sequence[str]) -> str:
    """The model's name there: the one that models.yaml has, the only one that there is, or the only
    one that is a name of the model, whatever stands around it (a maker, a tag, a suffix)."""
    hosted = model.endpoint()
    if hosted:
        fitting = [one for one in listed if one == hosted.served_as]
    elif len(listed) == 1:
        fitting = list(listed)
    else:
        names = {name.casefold() for name in (model.id, model.name, _last(model.checkpoint))}
        fitting = [one for one in listed if _bare(one) in names]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(map(without_path, listed[:_SHOWN])) + (", .." if len(listed) > _SHOWN else "")
    wanted = f"'{hosted.served_as}'" if hosted else f"one model that could be {model.name}"
    raise MissingError(f"the server does not list {wanted}; it has {there or 'no model'}")


def _bare(name: str) -> str:
    return _last(name).partition(":")[0].casefold().removesuffix(".gguf").removesuffix("-gguf")


def _last(name: str) -> str:
    return PurePosixPath(name).name
