"""BFCL's rows as a model is shown them: its functions as JSON Schema, its turns as messages."""

from __future__ import annotations

import json
from typing import Any

from harness.run.tasks import bfcl_ast

Node = dict[str, Any]

_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_SPOKEN = {"java": "Java", "javascript": "JavaScript"}


def lines(data: bytes) -> list[Any]:
    """The JSON of each line of a file."""
    # Not splitlines: that also splits at characters which JSON allows inside a string.
    return [json.loads(line) for line in data.decode().split("\n") if line.strip()]


def tools(functions: list[Node], language: str) -> list[Node]:
    """The functions as tools, with types that JSON has.

    Arguments of Java and JavaScript functions are strings of source text, which is what the answer
    key expects; the description of each says so.
    """
    shown = functions if language == "python" else [_in_source(one, language) for one in functions]
    return [{"type": "function", "function": _as_json_schema(one)} for one in shown]


def messages(system: str, turns: list[dict[str, str]]) -> list[dict[str, Any]]:
    """`system` and the row's own turns, no two of one role in a row: some templates refuse that."""
    joined: list[dict[str, Any]] = [{"role": "system", "content": system}]
    for turn in turns:
        if turn["role"] == joined[-1]["role"]:
            joined[-1]["content"] += "\n\n" + turn["content"]
        else:
            joined.append({"role": turn["role"], "content": turn["content"]})
    return joined


def checkable(function: Node, language: str) -> bool:
    """Whether every type in it is one that the rule for arguments knows."""
    schemas = function["parameters"]["properties"].values()
    types = [schema["type"] for schema in schemas] + [
        schema["items"]["type"] for schema in schemas if schema["type"] in bfcl_ast.NESTED
    ]
    return "required" in function["parameters"] and set(types) <= bfcl_ast.TYPES[language].keys()


def _in_source(function: Node, language: str) -> Node:
    parameters = function["parameters"]
    properties = {
        name: {"type": "string", "description": _described(schema, _SPOKEN[language])}
        for name, schema in parameters["properties"].items()
    }
    return function | {"parameters": parameters | {"properties": properties}}


def _described(schema: Node, language: str) -> str:
    kind = "value of any type" if schema["type"] == "any" else schema["type"]
    parts = [schema.get("description", ""), f"A string with the {language} source of a {kind}"]
    if "items" in schema:
        parts[-1] += f", whose elements are {schema['items']['type']}"
    if "properties" in schema:
        parts[-1] += f", with the entries {json.dumps(schema['properties'])}"
    return " ".join(parts).strip() + "."


def _as_json_schema(node: Any) -> Any:
    """BFCL's Python type names as JSON Schema's, which is what published prompts show a model."""
    if isinstance(node, list):
        return [_as_json_schema(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _JSON_TYPES.get(value, value)
        if key == "type" and isinstance(value, str)
        else _as_json_schema(value)
        for key, value in node.items()
    }
