"""The rows of prices.yaml as facts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.ask import prices
from harness.run.protocol import Channel, Request


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """The facts of each service, each with its source and day."""
    facts = [
        {
            "name": f"{service}/{name}",
            "value": value,
            "origin": "published document",
            "source": f"{row.source} (as of {row.as_of})",
        }
        for service, row in prices.load().items()
        for name, value in (
            ("input_price", row.input),
            ("output_price", row.output),
            ("offered_context", row.context),
            ("listed", True),
            ("function_calling", row.function_calling),
        )
        if value is not None
    ]
    yield {"kind": "facts", "facts": facts}
