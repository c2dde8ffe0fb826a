"""`harness prepare`: an artifact that can't be had does not keep the others from being made."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkouts import Say

ROWS = """\
tiny:
  name: Tiny
  checkpoint: nobody/tiny
  facts: {}
  geometry:
    architecture: llama
    hidden: 64
    layers: 1
    heads: 2
    kv_heads: 1
    head_dim: 32
    ffn: 64
    vocabulary: 256
    context: 256
    rope_theta: 10000
    tied: true
  artifacts:
  - format: gguf
    quantisation: Q8_0
    source:
      kind: hub
      repo: nobody/tiny
      revision: null
      files: [{name: tiny.gguf, sha256: null, bytes: 1000}]
  - {format: gguf, quantisation: Q4_0, source: {kind: synthetic, seed: 1}}
"""


@pytest.fixture
def checkout(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "claims").mkdir()
    (tmp_path / "models.yaml").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_others_are_made(checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say("prepare", "tiny", "--offline") == 3
    shown = capsys.readouterr()
    assert shown.out.startswith("tiny gguf Q4_0  ")
    assert "tiny gguf Q8_0: " in shown.err
    assert "1 of 2 artifacts can't be had" in shown.err


def test_the_only_one_asked_for_says_why_itself(
    checkout: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("prepare", "tiny", "--quantisation", "Q8_0", "--offline") == 3
    assert capsys.readouterr().err.count("offline was asked for") == 1
