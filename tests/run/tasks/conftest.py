"""The task, its wheel (from the cache, fetched once), all its items, and BFCL's own checker."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.ask import tasks
from harness.ask.tasks import Task
from harness.errors import MissingError
from harness.prepare import pypi
from harness.run.tasks import Item, bfcl_objects, tool_calls

ROOT = Path(__file__).parents[3]
Checker = Callable[[Item, list[dict[str, Any]]], bool]
CHECKER = "bfcl_eval/eval_checker/ast_eval/ast_checker.py"
STAND_INS = {
    "bfcl_eval/constants/model_config.py": (
        "from types import SimpleNamespace\n"
        "MODEL_CONFIG_MAPPING = {'model': SimpleNamespace(underscore_to_dot=False)}\n"
    ),
}
CONVERTERS = "bfcl_eval/eval_checker/ast_eval/type_convertor"
MULTI_TURN = "bfcl_eval/eval_checker/multi_turn_eval"
REAL = [
    CHECKER,
    f"{MULTI_TURN}/multi_turn_checker.py",
    f"{MULTI_TURN}/multi_turn_utils.py",
    f"{MULTI_TURN}/func_source_code/long_context.py",
    *(f"{MULTI_TURN}/func_source_code/{name}.py" for name in bfcl_objects.MODULES.values()),
    "bfcl_eval/constants/executable_backend_config.py",
    "bfcl_eval/constants/enums.py",
    "bfcl_eval/constants/type_mappings.py",
    f"{CONVERTERS}/java_type_converter.py",
    f"{CONVERTERS}/js_type_converter.py",
]


@pytest.fixture(scope="session")
def task() -> Task:
    return tasks.find(tasks.load(ROOT / "tasks"), "bfcl_simple_python")


@pytest.fixture(scope="session")
def wheel(task: Task) -> Path:
    source = task.source
    try:
        return pypi.fetch_wheel(
            source.package,
            source.version,
            source.wheel,
            source.wheel_sha256,
            wheel_bytes=source.wheel_bytes,
        )
    except MissingError as error:
        pytest.skip(f"needs BFCL's data: {error}")


@pytest.fixture(scope="session")
def items(task: Task, wheel: Path) -> list[Item]:
    return tool_calls.items(task, wheel, task.rows.available)


@pytest.fixture(scope="session")
def package(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What BFCL's checkers need of bfcl_eval, to be imported."""
    folder = tmp_path_factory.mktemp("bfcl")
    with zipfile.ZipFile(wheel) as archive:
        texts = STAND_INS | {name: archive.read(name).decode() for name in REAL}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bfcl_eval"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def reference(package: None) -> Checker:
    """Whether BFCL's checker calls the calls of a model valid."""
    checker = importlib.import_module(CHECKER.removesuffix(".py").replace("/", "."))
    languages = importlib.import_module("bfcl_eval.constants.enums").Language

    def valid(item: Item, calls: list[dict[str, Any]]) -> bool:
        functions, expected = item.payload["functions"], item.payload["expected"]
        output = [{call["name"]: call["arguments"]} for call in calls]
        language = languages(item.payload.get("language", "python"))
        category = "parallel" if len(expected) > 1 else "multiple"
        result = checker.ast_checker(functions, output, expected, language, category, "model")
        return bool(result["valid"])

    converters = importlib.import_module(CONVERTERS.replace("/", "."))
    valid.converters = {  # type: ignore[attr-defined]
        "java": converters.java_type_converter.java_type_converter,
        "javascript": converters.js_type_converter.js_type_converter,
    }
    return valid
