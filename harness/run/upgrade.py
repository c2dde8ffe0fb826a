"""Older records in today's form. A version is one function here; none is ever changed.

Files are never rewritten: their digests stand in verdicts. What has another shape than its version
goes on as it is, and the record's class says what is wrong with it.
"""

from __future__ import annotations

from typing import Any

_COMMON = ("threads", "context")


def run(data: Any) -> Any:
    """A run.json of any version."""
    if isinstance(data, dict) and data.get("schema_version") == 1:
        cell = data.get("cell")
        device = cell.get("device") if isinstance(cell, dict) else None
        settings = _settings_from_1(data.get("settings"), device)
        data = data | {"schema_version": 2, "settings": settings}
    return data


def sample(data: Any, version: int) -> Any:
    """One line of samples.jsonl, of a run of this version."""
    if version == 1 and isinstance(data, dict) and isinstance(data.get("data"), dict):
        measured = data["data"]
        applied = measured.get("applied")
        if isinstance(applied, dict):
            rest = {name: value for name, value in applied.items() if name != "device"}
            rest["settings"] = _settings_from_1(applied.get("settings"), applied.get("device"))
            data = data | {"data": measured | {"applied": rest}}
    return data


def verdict(data: Any) -> Any:
    """A verdict of any version. Its settings changed together with those of runs."""
    if isinstance(data, dict) and data.get("schema_version") == 1:
        findings = data.get("findings")
        if isinstance(findings, list):
            findings = [_finding_from_1(finding) for finding in findings]
        data = data | {"schema_version": 2, "findings": findings}
    return data


def _finding_from_1(finding: Any) -> Any:
    if not isinstance(finding, dict):
        return finding
    runtime = finding.get("runtime")
    device = runtime.get("device") if isinstance(runtime, dict) else None
    return finding | {"settings": _settings_from_1(finding.get("settings"), device)}


def _settings_from_1(flat: Any, device: Any) -> Any:
    """Version 1 had only llama.cpp's settings, side by side, and no device among them."""
    if not isinstance(flat, dict):
        return flat
    common = {name: flat[name] for name in _COMMON if name in flat}
    options = {name: value for name, value in flat.items() if name not in _COMMON}
    return {"device": device, **common, "options": options}
