"""CSV (RFC 4180), a row per machine. Text that a spreadsheet would run as a formula is quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from harness.judge.verdicts import Verdict
from harness.publish.exports import figures

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(verdicts: Sequence[Verdict]) -> dict[str, bytes]:
    out = io.StringIO()
    writer = csv.DictWriter(out, figures.COLUMNS)
    writer.writeheader()
    for verdict in verdicts:
        for row in figures.rows(verdict):
            writer.writerow({name: _plain(value) for name, value in row.items()})
    return {"verdicts.csv": out.getvalue().encode("utf-8", "backslashreplace")}


def _plain(text: str) -> str:
    """With an apostrophe before what is no number and begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
