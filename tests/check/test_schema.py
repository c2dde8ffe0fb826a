"""The published schemas hold for every stored record, and refuse what the code refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.check import schema

RESULTS = Path(__file__).parents[2] / "results"


def stored(name: str) -> list[Any]:
    where = {
        "verdict": "verdicts/*/*.json",
        "reproduction": "verdicts/*/*/*.json",
        "run": "*/*/run.json",
        "machine": "*/machine.json",
    }
    if name == "sample":
        files = RESULTS.glob("*/*/samples.jsonl")
        return [json.loads(line) for path in files for line in path.read_bytes().splitlines()[:3]]
    return [json.loads(path.read_bytes()) for path in RESULTS.glob(where[name])]


@pytest.mark.parametrize("name", schema.RECORDS)
def test_every_stored_record_meets_its_schema(name: str) -> None:
    known = schema.schema(name)
    Draft202012Validator.check_schema(known)
    validator, records = Draft202012Validator(known), stored(name)
    assert records
    for record in records:
        if record.get("schema_version", 2) == 2 or name != "run":
            validator.validate(record)


@pytest.mark.parametrize("name", schema.RECORDS)
def test_what_the_code_refuses_the_schema_refuses(name: str) -> None:
    validator, record = Draft202012Validator(schema.schema(name)), stored(name)[0]
    first = next(key for key in record if key in schema.schema(name)["required"])
    missing = {key: value for key, value in record.items() if key != first}
    for wrong in (record | {"host": "ada"}, missing, record | {first: {"no": "such"}}):
        assert not validator.is_valid(wrong)
        with pytest.raises(ValueError):
            schema.RECORDS[name].model_validate_json(json.dumps(wrong))
