"""BFCL's reading of arguments that are source text: Java and JavaScript values as Python ones.

In these categories a model gives each argument as a string that holds an expression. The rule
(bfcl-eval 2026.3.23) reads a few forms by patterns and leaves all else as text, which then is right
only where the answer key holds that text. A test holds this code to theirs. Its oddities: a Java
array keeps the quotes of its strings, a list does not; elements are parted at every comma; a Java
float needs its f, a long its L; no backslash means anything.

A value that these patterns would take long to read (`_costly`) is left as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

TYPES: dict[str, dict[str, type]] = {
    "java": {
        **dict.fromkeys(("byte", "short", "integer", "long"), int),
        **dict.fromkeys(("float", "double"), float),
        **dict.fromkeys(("char", "String", "any"), str),
        **dict.fromkeys(("Array", "ArrayList"), list),
        "boolean": bool,
        "HashMap": dict,
    },
    "javascript": {
        "String": str,
        "integer": int,
        "float": float,
        "Bigint": int,
        "Boolean": bool,
        "dict": dict,
        "array": list,
        "any": str,
    },
}
"""By the names that the data give them. BFCL knows more collections of Java and can't read them."""
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_LIST = r"new\s+ArrayList<\w*>\("
_MAP = r"new\s+HashMap<.*?>\s*\(\)"
_MAX_CHARS, _MAX_BRACKETS = 4000, 16
_LONG_SPACE = re.compile(r"\s{25}")


def value_of(language: str, text: str, kind: str, inner: str | None) -> Any:
    """What `text` stands for as a `kind` of `inner`; the text itself where it has no such form.

    Raises ValueError for an integer of more digits than Python reads.
    """
    if _costly(text):
        return text
    return _java(text, kind, inner) if language == "java" else _javascript(text, kind, inner)


def _costly(text: str) -> bool:
    """Whether matching could take more than a moment: it grows with powers of these counts."""
    return (
        len(text) > _MAX_CHARS
        or text.count("]") > _MAX_BRACKETS
        or _LONG_SPACE.search(text) is not None
    )


def _java(text: str, kind: str, inner: str | None) -> Any:
    scalars: dict[str, tuple[str, Callable[[str], Any]]] = {
        **dict.fromkeys(("byte", "short", "integer"), (r"-?\d+$", int)),
        "long": (r"-?\d+[lL]$", lambda digits: int(re.sub(r"[lL]$", "", digits))),
        "float": (rf"{_NUMBER}[fF]$", lambda digits: float(re.sub(r"[fF]$", "", digits))),
        "double": (rf"{_NUMBER}$", float),
    }
    if kind in scalars:
        form, convert = scalars[kind]
        return convert(text) if re.match(form, text) else text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    collections = {"Array": _java_array, "ArrayList": _java_list}
    if kind in collections and inner is not None:
        return collections[kind](text, inner)
    return _java_map(text) if kind == "HashMap" else text


def _java_array(text: str, inner: str) -> Any:
    found = re.search(r"new\s+\w+\[\]\s*\{(.*?)\}", text)
    if found is None:
        return text
    parts = [part.strip() for part in found[1].split(",")]
    return [_java(part, inner, None) for part in parts if part]


def _java_list(text: str, inner: str) -> Any:
    if found := re.search(rf"{_LIST}Arrays\.asList\((.+?)\)\)", text):
        parts = found[1].split(",")
    elif found := re.search(_LIST + r"\)\s*\{\{\s*(.+?)\s*\}\}", text, re.DOTALL):
        parts = re.findall(r"add\((.+?)\)", found[1])
    else:
        return [] if re.search(rf"{_LIST}\)", text) else text
    if inner in ("char", "String"):
        return [part.strip()[1:-1] for part in parts]
    return [_java(part.strip(), inner, None) for part in parts]


def _java_map(text: str) -> Any:
    found = re.search(_MAP + r"\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}", text, re.DOTALL)
    if found is None:
        return {} if re.search(_MAP, text) else text
    pairs = re.findall(r"put\(\"(.*?)\",\s*(.*?)\)", found[1])
    return {key: _java_guess(given.strip()) for key, given in pairs}


def _java_guess(text: str) -> Any:
    """A value of no declared type."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    for suffixed, convert in ((r"-?\d+[lL]$", int), (rf"{_NUMBER}[fF]$", float)):
        if re.match(suffixed, text):
            return convert(re.sub(r"[lLfF]\n?$", "", text))
    return _number_or_text(text)


def _javascript(text: str, kind: str, inner: str | None) -> Any:
    if kind == "String":
        return text[1:-1] if _quoted(text) else text
    if kind == "Boolean":
        return {"true": True, "false": False}.get(text, text)
    scalars: dict[str, tuple[str, Callable[[str], Any]]] = {
        "integer": (r"-?\d+$", int),
        "float": (r"-?\d+(\.\d+)?$", float),
        "Bigint": (r"-?\d+n$", lambda digits: int(digits[:-1])),
    }
    if kind in scalars:
        form, convert = scalars[kind]
        return convert(text) if re.match(form, text) else text
    if kind == "array":
        return _js_array(text.strip(), inner)
    return _js_object(text.strip()) if kind == "dict" else text


def _js_array(text: str, inner: str | None) -> Any:
    """Elements of a declared type are read as that, those of rows of rows are guessed."""
    rows = r"\[.*?\]\s*(,\s*\[.*?\]\s*)*"
    try:
        if found := re.match(rf"\[\s*{rows}\]|\bnew\s+Array\(\s*{rows}\)", text):
            parts = [row.strip().removeprefix("[") if at == 0 else row.strip()
                     for at, row in enumerate(re.findall(r"\[(.*?)\]", found[0]))]  # fmt: skip
            return [[_js_guess(one) for one in part.split(",")] for part in parts]
        found = re.match(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)", text)
        if found is None:
            return text
        within = (found[1] if found[1] is not None else found[2]).strip()
        parts = [part.strip() for part in within.split(",")] if within else []
        return [_javascript(part, inner, None) if inner else _js_guess(part) for part in parts]
    except ValueError:
        return text


def _js_object(text: str) -> Any:
    if text == "{}":
        return {}
    found = re.match(r"\{(.*?)\}", text)
    if found is None:
        return text
    try:
        pairs = re.findall(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)", found[1])
        return {key.strip().strip("'\""): _js_member(given.strip()) for key, given in pairs}
    except ValueError:
        return text


def _js_member(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return _js_array(text, None)
    if text.startswith("{") and text.endswith("}"):
        return _js_object(text)
    return _js_guess(text.strip("'\""))


def _js_guess(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if _quoted(text) else _number_or_text(text)


def _quoted(text: str) -> bool:
    return any(text.startswith(mark) and text.endswith(mark) for mark in "\"'")


def _number_or_text(text: str) -> Any:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text
