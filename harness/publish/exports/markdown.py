"""Markdown for the summary of a build's step, which holds 1 MiB at most."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from harness.judge.verdicts import Verdict
from harness.metrics import METRICS
from harness.publish import words

LIMIT = 1 << 20
_HEAD = "| verdict | claim | measured | because |\n|---|---|---|---|\n"


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    """As many rows as there is room for; what was left out is counted."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = ", ".join(
        f"{number} {words.OUTCOMES[name].word.lower()}" for name, number in counts.most_common()
    )
    body = f"## {len(verdicts)} claims\n\n{told}\n\n{_HEAD}".encode()
    for at, verdict in enumerate(verdicts):
        row = _row(verdict).encode("utf-8", "backslashreplace")
        rest = f"\n{len(verdicts) - at} more claims do not fit here.\n".encode()
        if len(body) + len(row) + len(rest) > LIMIT:
            body += rest
            break
        body += row
    return {"summary.md": body}


def _row(verdict: Verdict) -> str:
    measured = []
    if verdict.rule:
        metric = METRICS[verdict.rule.metric]
        for found in verdict.findings:
            figure = ", ".join(words.figure(metric, found))
            synthetic = ", synthetic weights" if found.weights == "synthetic" else ""
            measured.append(f"{metric.label}: {figure}{synthetic}")
    cells = (
        words.OUTCOMES[verdict.outcome].word,
        f"{verdict.claim.id}: “{verdict.claim.quote}”",
        "; ".join(measured),
        verdict.reason,
    )
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |\n"


def _escaped(text: str) -> str:
    """On one line, with nothing that Markdown, HTML or a mention of a user would act on."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~@$])", r"\\\1", line).replace("://", ":&#47;&#47;")
