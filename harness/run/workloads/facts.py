"""Facts of a model: from the artifact's own header where its weights are real, else published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.ask import models
from harness.run.protocol import Channel, Request
from harness.run.runtimes import HEADER_READER, settings_for
from harness.run.workloads import make_runtime

_HEADER_ONLY = settings_for(HEADER_READER, "cpu", threads=1, context=256)


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """Facts in order of trust: file header, arithmetic on the configuration, documents."""
    model = models.load()[str(request.model)]
    facts: list[dict[str, Any]] = []
    if request.artifact is not None:
        runtime = make_runtime(request)
        runtime.load(request.artifact, _HEADER_ONLY)
        facts += [
            {"name": name, "value": value, "origin": "file header", "source": "the artifact"}
            for name, value in runtime.header().items()
        ]
    configuration = f"arithmetic on the geometry of {model.checkpoint} in models.yaml"
    if "parameters" not in model.facts:
        facts.append(
            {
                "name": "parameters",
                "value": model.parameters(),
                "origin": "published configuration",
                "source": configuration,
            }
        )
    facts += [
        {
            "name": name,
            "value": fact.value,
            "origin": "published document",
            "source": f"{fact.source} (as of {fact.as_of}){'; ' + fact.note if fact.note else ''}",
        }
        for name, fact in model.facts.items()
    ]
    yield {"kind": "facts", "facts": facts}
