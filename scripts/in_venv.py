"""Lets a script be started by any Python: it goes on in the project's .venv, which has packages."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def need(extra: str, *modules: str) -> None:
    """Goes on in .venv where this Python lacks a module; says how to install `extra` if that does.

    To be called before anything of the harness is imported.
    """
    missing = [name for name in ("harness", *modules) if not importlib.util.find_spec(name)]
    if not missing:
        return
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists() or Path(sys.prefix).resolve() == python.parent.parent.resolve():
        print(f"needs {' and '.join(missing)}; in the project's folder, run:", file=sys.stderr)
        print(f"  python3 -m venv .venv && .venv/bin/pip install -e '.[{extra}]'", file=sys.stderr)
        raise SystemExit(3)
    os.execv(python, [str(python), *sys.argv])
