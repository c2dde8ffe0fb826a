"""What the reviewers on a page say of themselves: ship, skip, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.ask import pages
from harness.run.protocol import Channel, Request


def measure(request: Request, channel: Channel) -> Iterator[dict[str, Any]]:
    """The stances of each tool's reviewers, in the order of the page."""
    page = pages.load()[str(request.page)]
    stances: dict[str, list[dict[str, Any]]] = {tool.name: [] for tool in page.tools}
    for review in page.reviews:
        stances[review.tool].append(
            {"reviewer": review.reviewer, "stance": review.stance, "words": review.stance_words}
        )
    yield {"kind": "panel", "stances": stances}
