"""List the models, and which artifacts are here or can be had; or say all that is known of one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from harness import prepare
from harness.ask import models
from harness.ask.models import Artifact, Model
from harness.commands import listing


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="say all that is known of it")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    known = models.load()
    if options.model:
        _one(models.find(known, options.model), options.json)
        return 0
    rows = [_row(model, artifact) for model in known.values() for artifact in model.artifacts]
    if options.json:
        listing.as_json(rows)
    else:
        names = ("model", "format", "quantisation", "weights", "licence")
        shown = [(*(row[name] for name in names), _state(row)) for row in rows]
        listing.table((*names, "artifact"), shown)
    return 0


def _row(model: Model, artifact: Artifact) -> dict[str, Any]:
    need = prepare.need(model, artifact)
    licence = model.facts.get("licence")
    return {
        "model": model.id,
        "format": artifact.format,
        "quantisation": artifact.quantisation,
        "weights": artifact.weights,
        "source": artifact.source.kind,
        "here": need.present,
        "download_bytes": need.download_bytes,
        "disk_bytes": need.disk_bytes,
        "licence": licence.value if licence else None,
        "terms": licence.source if licence else None,
        "terms_of_source": _terms(artifact),
    }


def _terms(artifact: Artifact) -> str | None:
    """What a hub asks for before it serves the files, and what else its row says of the licence.

    Of a hosted model, on what terms it is served.
    """
    source = artifact.source
    if source.kind == "endpoint":
        return source.terms
    if source.kind != "hub":
        return None
    gate = "its licence has to be accepted there first" if source.gated else ""
    return "; ".join(text for text in (gate, source.licence_note) if text) or None


def _state(row: dict[str, Any]) -> str:
    """Here; or from where, and what it costs: all of a download also takes room on the disk."""
    if row["here"]:
        return "here"
    if row["source"] == "endpoint":
        costs = "hosted"
    elif row["disk_bytes"] is None:
        costs = "size known there alone"
    else:
        fetch = f"{listing.size(row['download_bytes'])} to fetch, " if row["download_bytes"] else ""
        costs = f"{fetch}{listing.size(row['disk_bytes'])} on disk"
    terms = f"; {row['terms_of_source']}" if row["terms_of_source"] else ""
    return f"{row['source']}: {costs}{terms}"


def _one(model: Model, as_json: bool) -> None:
    rows = [_row(model, artifact) for artifact in model.artifacts]
    if as_json:
        listing.as_json(model.model_dump(mode="json") | {"artifacts": rows})
        return
    print(model.name)
    listing.table(("", ""), [("  " + name, text) for name, text in _known(model)])
    print()
    names = ("format", "quantisation", "weights")
    shown = [(*(row[name] for name in names), _state(row)) for row in rows]
    listing.table((*names, "artifact"), shown)


def _known(model: Model) -> Iterator[tuple[str, str]]:
    """What a reader of a page would ask: which model that is, its size, its terms."""
    text = model.geometry
    yield "id", model.id
    yield "checkpoint", model.checkpoint
    if model.aliases:
        yield "on pages", ", ".join(model.aliases)
    if model.alias_note:
        yield "note", model.alias_note
    if text:
        parts = f"{text.parameters():,} of them text" if model.vision else "all text"
        yield "weights", f"{model.parameters():,} by its shape, {parts}"
        yield "KV cache", f"{text.kv_bytes_per_token():,} bytes a token, fp16"
    for name, fact in model.facts.items():
        note = f"; {fact.note}" if fact.note else ""
        value = f"{fact.value:,}" if type(fact.value) is int else str(fact.value).lower()
        yield name.replace("_", " "), f"{value} ({fact.source}, as of {fact.as_of}{note})"
    for name, taken in model.unconfirmed.items():
        yield "unconfirmed", f"{name}: {taken}"
