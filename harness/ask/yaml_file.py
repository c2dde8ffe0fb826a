"""Reads a YAML file into a pydantic model; every complaint names file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import BadFile

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


class Row(BaseModel):
    """The base of everything read from YAML or JSON: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


R = TypeVar("R", bound=BaseModel)


def read(path: Path, model: type[R], context: object = None) -> R:
    """`path` as a `model`, whose validators are given `context`.

    Raises BadFile with one `file:line: field: complaint` per problem.
    """
    node = _compose(path)
    loader = _Loader("")
    try:
        data = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        raise BadFile(_yaml_complaint(path, error)) from error
    finally:
        loader.dispose()
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        lines = [
            f"{path}:{_line(node, item['loc'])}: {_field(item['loc'])}: {item['msg']}"
            for item in error.errors()
        ]
        raise BadFile("\n".join(lines)) from error


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_Loader)
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"{path}: not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise BadFile(_yaml_complaint(path, error)) from error
    _refuse_repeats(path, node)
    return node


def _refuse_repeats(path: Path, node: yaml.Node | None) -> None:
    """YAML's loaders let a repeated key win silently; a claim written twice would vanish."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadFile(f"{path}:{key.start_mark.line + 1}: {key.value}: given twice")
            seen.add(key.value)
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        _refuse_repeats(path, child)


def _yaml_complaint(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    return f"{path}:{line}: {getattr(error, 'problem', None) or error}"


def _field(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "(whole file)"


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the deepest place on the way to `loc`; unions put names in it that are no key."""
    line = 1
    for part in loc:
        found = _child(node, part)
        if found is not None:
            node, line = found
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, int] | None:
    """The node under key or index `part`, and its line: a key's own, where there is one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None
