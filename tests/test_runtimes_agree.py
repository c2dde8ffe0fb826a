"""scripts/parity, the short form: three runtimes see the same pictures and say the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.run import store

ROOT = Path(__file__).parent.parent
ASKED = 16
ON = ("transformers:fp16", "llama.cpp:f16", "onnx:fp32")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone holds, without its results."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("claims", "models", "models.yaml", "pages", "tasks"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def parity(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "parity"), *words],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_three_runtimes_agree_on_pictures_token_by_token(checkout: Path) -> None:
    done = parity(checkout, "smoke-vlm", "easy_vqa", *ON, "--limit", str(ASKED))
    assert done.returncode == 0, done.stdout + done.stderr
    _, *rows = done.stdout.splitlines()
    pairs = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert [pair[:2] for pair in pairs] == [[ON[0], ON[1]], [ON[0], ON[2]], [ON[1], ON[2]]]
    for pair in pairs:
        assert pair[2:6] == [f"{ASKED}/{ASKED}"] * 4  # prompt, ids, image tokens, answer
        assert float(pair[7]) <= float(pair[8])  # the median, and what is allowed
    kept = list(store.runs(checkout / "results"))
    assert sorted(run.samples for _, run in kept) == [ASKED] * 3
    assert all(run.valid for _, run in kept)


def test_what_is_there_is_not_asked_again(checkout: Path) -> None:
    before = [run.id for _, run in store.runs(checkout / "results")]
    done = parity(checkout, "smoke-vlm", "easy_vqa", *ON[:2], "--limit", "5")
    assert done.returncode == 0
    assert "5/5" in done.stdout
    assert [run.id for _, run in store.runs(checkout / "results")] == before


def test_some_can_be_asked_of_several_items_at_once(checkout: Path) -> None:
    on = ("llama.cpp:Q4_1", "llama.cpp:Q4_1:2")
    done = parity(checkout, "smollm2-135m-instruct", "json_answers", *on, "--limit", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = done.stdout.splitlines()[1:]
    assert re.split(r"\s{2,}", row.strip())[:4] == [*on, "3/3", "3/3"]  # prompt, ids
    asked = [run.cell.parallel for _, run in store.runs(checkout / "results") if run.samples == 3]
    assert sorted(asked, key=str) == [2, None]


def test_a_runtime_without_quantisation_is_the_users_mistake(checkout: Path) -> None:
    for name in ("onnx", "onnx:", "onnx:fp32:1", "onnx:fp32:some"):
        done = parity(checkout, "smoke-vlm", "easy_vqa", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{name}: write RUNTIME:QUANTISATION" in done.stderr


def test_a_name_that_is_none_is_the_users_mistake(checkout: Path) -> None:
    done = parity(checkout, "smoke-vlm", "easy_vqa", "transformers:Q9")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown quantisation of smoke-vlm 'Q9'" in done.stderr
