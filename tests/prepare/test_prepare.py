"""The step as a whole: its registry, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from harness.ask.models import Artifact
from harness.prepare import SOURCES, Source
from harness.prepare import _source as find

CHECKOUT = Path(__file__).parents[2]


def kinds() -> set[str]:
    sources = get_args(Artifact.model_fields["source"].annotation)
    return {get_args(source.model_fields["kind"].annotation)[0] for source in sources}


def test_every_kind_of_source_in_models_yaml_has_its_module() -> None:
    assert set(SOURCES) == kinds()


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_source_offers_all_that_the_step_calls(kind: str) -> None:
    source = find(Artifact.model_construct(source=_Kind(kind)))
    wanted = [name for name in vars(Source) if not name.startswith("_")]
    assert wanted == ["file_name", "identity", "cost", "write"]
    assert [name for name in wanted if not callable(getattr(source, name, None))] == []


class _Kind:
    def __init__(self, kind: str) -> None:
        self.kind = kind


def test_the_step_loads_no_source_before_it_is_needed() -> None:
    code = "import sys, harness.prepare; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"gguf", "numpy", "llama_cpp", *SOURCES.values()}
