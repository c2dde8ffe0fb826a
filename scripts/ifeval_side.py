"""Scores answers to instructions with lm-eval's IFEval. Runs in an environment of its own.

Reads JSON from stdin, [[instruction, arguments, answer], ..], and writes [[strict, loose], ..],
null where the original raises. The package is entered at the folder of the task alone: what the
rest of lm-eval imports is not needed. `scripts/compare-ifeval` is the only caller.
"""

from __future__ import annotations

import importlib
import json
import logging
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any


def _original() -> Any:
    folder = Path(str(find_spec("lm_eval").origin)).parent  # type: ignore[union-attr]
    for name, where in (("lm_eval", folder), ("lm_eval.tasks", folder / "tasks")):
        package = ModuleType(name)
        package.__path__ = [str(where)]
        sys.modules[name] = package
    return importlib.import_module("lm_eval.tasks.ifeval.utils")


def _score(utils: Any, kind: str, arguments: dict[str, Any], answer: str) -> list[bool] | None:
    doc = {"key": 0, "prompt": "", "instruction_id_list": [kind], "kwargs": [arguments]}
    random.seed(0)  # what it draws for arguments that it does not like
    try:
        found = utils.process_results(doc, [answer])
    except Exception:  # whatever an original does on hostile input
        return None
    return [bool(found[f"prompt_level_{rule}_acc"]) for rule in ("strict", "loose")]


def main() -> None:
    import langdetect

    langdetect.DetectorFactory.seed = 0  # as the original's draws are not
    logging.disable()
    utils = _original()
    print(json.dumps([_score(utils, *one) for one in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
