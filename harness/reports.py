"""The stored records as tables of DuckDB, for questions over many runs at once.

Tables are views: a question reads only the files it is about. What records say is data: DuckDB is
told no SQL but the caller's, reads nothing outside the results and takes no extension from the net.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MissingError, UserError
from harness.run import store

if TYPE_CHECKING:
    import duckdb

TABLES = {
    "runs": """
        id, machine, session, arm, cell.task AS task, cell.workload AS workload,
        cell.model AS model, cell.quantisation AS quantisation, cell.runtime AS runtime,
        cell.device AS device, cell.context AS context, artifact.weights AS weights,
        planned, samples, failed, started, ended,
        len(list_filter(gates, lambda gate: gate.passed = false)) = 0 AS valid""",
    "samples": """
        parse_path(filename)[-2] AS run, parse_path(filename)[-3] AS machine, index, item, started,
        seconds, cause, detail, data ->> 'outcome' AS outcome,
        (data ->> 'correct')::BOOLEAN AS correct, data ->> 'output' AS output, data""",
    "verdicts": """
        claim.id AS claim, claim.page AS page, claim.kind AS kind, claim.tool AS tool,
        claim.model AS model, rule.metric AS metric, outcome, reason, findings""",
}
"""The columns of each, from its files' own fields."""

_FIELDS = {
    "runs": {
        "id": "VARCHAR",
        "machine": "VARCHAR",
        "session": "VARCHAR",
        "arm": "VARCHAR",
        "cell": "STRUCT(task VARCHAR, workload VARCHAR, model VARCHAR, quantisation VARCHAR,"
        " runtime VARCHAR, device VARCHAR, context BIGINT)",
        "artifact": "STRUCT(weights VARCHAR)",
        "planned": "BIGINT",
        "samples": "BIGINT",
        "failed": "BIGINT",
        "started": "VARCHAR",
        "ended": "VARCHAR",
        "gates": "STRUCT(name VARCHAR, passed BOOLEAN, detail VARCHAR)[]",
    },
    "samples": {
        "index": "BIGINT",
        "item": "VARCHAR",
        "started": "VARCHAR",
        "seconds": "DOUBLE",
        "cause": "VARCHAR",
        "detail": "VARCHAR",
        "data": "JSON",
    },
    "verdicts": {
        "claim": "STRUCT(id VARCHAR, page VARCHAR, kind VARCHAR, tool VARCHAR, model VARCHAR)",
        "rule": "STRUCT(metric VARCHAR)",
        "outcome": "VARCHAR",
        "reason": "VARCHAR",
        "findings": "JSON",
    },
}
_FORMATS = {"runs": "unstructured", "samples": "newline_delimited", "verdicts": "unstructured"}
_LARGEST = 1 << 28
"""Bytes of one record: a model may have said very much."""


def connect(results: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the tables. Raises MissingError without the extra `reports`."""
    try:
        import duckdb
    except ImportError as error:
        raise MissingError("SQL needs DuckDB: pip install 'claimbench[reports]'") from error
    results = results.resolve()
    if set("*?[{'") & set(str(results)):
        raise UserError(f"{results}: DuckDB reads no folder whose path has *, ?, [, {{ or '")
    found = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    folders = [folder for folder, _ in store.runs(results)]
    files = {
        "runs": [folder / "run.json" for folder in folders],
        "samples": [folder / "samples.jsonl" for folder in folders],
        "verdicts": sorted(results.glob("verdicts/*/*.json")),
    }
    found.execute(f"SET allowed_directories = ['{results}']")
    found.execute("SET enable_external_access = false")
    found.execute("SET lock_configuration = true")
    for name in TABLES:
        found.execute(_view(name, files[name]))
    return found


def ask(results: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of the columns and rows of the answer. Raises UserError for what DuckDB refuses."""
    with connect(results) as connection:
        import duckdb

        try:
            answer = connection.execute(sql)
            return [column[0] for column in answer.description or []], answer.fetchall()
        except duckdb.Error as error:
            raise UserError(str(error)) from error


def _view(name: str, files: list[Path]) -> str:
    """The statement that makes a table; without files an empty one of the same columns."""
    fields = ", ".join(f"{field}: '{kind}'" for field, kind in _FIELDS[name].items())
    if files:
        paths = ", ".join(f"'{path}'" for path in files)
        source = (
            f"read_json([{paths}], columns = {{{fields}}}, format = '{_FORMATS[name]}',"
            f" maximum_object_size = {_LARGEST}, filename = true)"
        )
    else:
        empty = ", ".join(f"NULL::{kind} AS {field}" for field, kind in _FIELDS[name].items())
        source = f"(SELECT {empty}, '' AS filename WHERE false)"
    return f"CREATE VIEW {name} AS SELECT {TABLES[name]} FROM {source}"
