"""BFCL's simulated objects: their sources and tools out of the wheel, and calls on them.

The objects are bfcl-eval's own classes, in the wheel whose sha256 the task gives. They run in
`harness.run.sandbox`, which starts anew for each question, with all calls before it: what objects
say depends on nothing else, but for a file's unseen time stamp and an age counted in years.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import MissingError
from harness.run import sandbox
from harness.run.tasks import bfcl_rows
from harness.run.tasks.bfcl_objects_box import Call

MODULES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
}
"""Of each class the name of its module, which its tools' file has, too."""

_SOURCE = "bfcl_eval/eval_checker/multi_turn_eval/func_source_code/{}.py"
_TOOLS = "bfcl_eval/data/multi_turn_func_doc/{}.json"
_BOX = Path(__file__).with_name("bfcl_objects_box.py")


class NoAnswer(Exception):
    """The objects did not answer within the sandbox's limits; the message says which."""


def check_machine() -> None:
    """Raises MissingError without a sandbox, or without what one of the objects needs."""
    sandbox.check()
    if not importlib.util.find_spec("mpmath"):
        raise MissingError(
            "BFCL's simulated calculator needs the package mpmath; "
            "run: python -m pip install 'claimbench[bfcl]'"
        )


def sources(wheel: zipfile.ZipFile, names: Iterable[str]) -> dict[str, str]:
    """The source of each class's module."""
    return {name: wheel.read(_SOURCE.format(MODULES[name])).decode() for name in names}


def tools(wheel: zipfile.ZipFile, names: Iterable[str]) -> list[dict[str, Any]]:
    """The functions of the classes, as BFCL documents them, but for what each returns.

    A tool's schema has no place for that, and a window of 8,192 tokens would have no room for the
    conversation.
    """
    found = []
    for name in names:
        found += bfcl_rows.lines(wheel.read(_TOOLS.format(MODULES[name])))
    return [{key: one[key] for key in ("name", "description", "parameters")} for one in found]


def answers(payload: dict[str, Any], calls: Sequence[Call]) -> list[str]:
    """What each of the calls gives, one after the other. Raises NoAnswer."""
    found: list[str] = _run(payload, calls=list(calls))
    return found


def check(payload: dict[str, Any], turns: Sequence[Sequence[Sequence[Call]]]) -> dict[str, Any]:
    """As `bfcl_objects_box.check`, of an item's payload. Raises NoAnswer."""
    found: dict[str, Any] = _run(payload, turns=turns, right=payload["right"])
    return found


def _run(payload: dict[str, Any], **asked: Any) -> Any:
    asked |= {name: payload[name] for name in ("sources", "configuration")}
    library = _mpmath() if "MathAPI" in payload["sources"] else ""
    program = f"{_BOX.read_text(encoding='utf-8')}\n{library}main({json.dumps(asked)!r})\n"
    ended = sandbox.run(program)
    if not ended.passed:
        raise NoAnswer(ended.reason)
    try:
        return json.loads(ended.said)
    except ValueError as error:
        raise NoAnswer("its answer is longer than can be read") from error


@cache
def _mpmath() -> str:
    """Lines that put mpmath where the sandbox can import it: it sees no installed package."""
    spec = importlib.util.find_spec("mpmath")
    if spec is None or spec.origin is None:
        raise MissingError("the package mpmath is missing")
    folder, packed = Path(spec.origin).parent, io.BytesIO()
    with zipfile.PyZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writepy(str(folder), filterfunc=lambda path: Path(path).name != "tests")
    text = base64.b64encode(packed.getvalue()).decode()
    return (
        "import base64, sys\n"
        "with open('/mpmath.zip', 'wb') as file:\n"
        f"    file.write(base64.b64decode('{text}'))\n"
        "sys.path.insert(0, '/mpmath.zip')\n"
    )
