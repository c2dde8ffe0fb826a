"""The JSON Schemas of what is stored, from the classes that read it. Of today's versions only:
older files are read through `harness.run.upgrade`, and judged again they become today's."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from harness.judge.reproductions import Reproduction
from harness.judge.verdicts import Verdict
from harness.run.records import Machine, Run, Sample

RECORDS: dict[str, type[BaseModel]] = {
    "verdict": Verdict,
    "reproduction": Reproduction,
    "run": Run,
    "sample": Sample,
    "machine": Machine,
}


def schema(name: str) -> dict[str, Any]:
    """The schema of one record. `sample`: of one line of samples.jsonl."""
    found = RECORDS[name].model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def document(name: str) -> bytes:
    """The schema as a file."""
    return (json.dumps(schema(name), indent=1, ensure_ascii=False) + "\n").encode()
