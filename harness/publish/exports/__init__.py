"""Verdicts in the formats of others. The native record is the truth; each of these is a pure
function of it, and each says less. One file per format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.verdicts import Verdict
from harness.publish.exports import eval_results, every_eval_ever, in_toto, junit, markdown, table

Export = Callable[[Sequence[Verdict]], dict[str, bytes]]

EXPORTS: tuple[Export, ...] = (
    junit.export,
    markdown.export,
    table.export,
    in_toto.export,
    every_eval_ever.export,
    eval_results.export,
)


def files(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    """All of them, by name below the site."""
    return {
        f"exports/{name}": body for export in EXPORTS for name, body in export(verdicts).items()
    }
