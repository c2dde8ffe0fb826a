"""Where things are: the project's folder, its results, and the cache of artifacts."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import UserError


def root() -> Path:
    """The folder with models.yaml: the current one, one above it, or the source checkout."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / "models.yaml").is_file() and (folder / "claims").is_dir():
            return folder
    raise UserError("no models.yaml and claims/ here or above; run harness inside a checkout")


def cache() -> Path:
    """Where artifacts lie: $XDG_CACHE_HOME/claimbench or ~/.cache/claimbench."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "claimbench"
