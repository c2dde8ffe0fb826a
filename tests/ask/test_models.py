"""models.yaml: published shapes and counts agree, facts are cited, names lead to one model."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ask import models
from harness.errors import BadFile, UnknownName, UserError

ROOT = Path(__file__).parents[2]
MODELS = models.load(ROOT / "models.yaml")

PUBLISHED = {
    "smollm2-135m-instruct": (134_515_008, 23_040),
    "smollm3-3b": (3_075_098_624, 73_728),
    "ministral-3-3b-instruct": (3_429_006_336, 106_496),
    "llama-3.1-8b-instruct": (8_030_261_248, 131_072),
}
"""Weights of the text part, and bytes of KV cache per token at 16 bits."""


def test_the_geometry_gives_the_published_counts() -> None:
    counts = {
        name: (model.geometry.parameters(), model.geometry.kv_bytes_per_token())
        for name, model in MODELS.items()
    }
    assert counts == PUBLISHED


@pytest.mark.parametrize("name", MODELS)
def test_facts_are_public_and_agree_with_the_geometry(name: str) -> None:
    model = MODELS[name]
    assert all(fact.source.startswith("https://") for fact in model.facts.values())
    assert {"licence", "open_weights"} <= set(model.facts)
    if "context_window" in model.facts:
        assert model.facts["context_window"].value == model.geometry.context
    if "parameters" in model.facts and not model.alias_note:  # the aliased one has a vision tower
        assert model.facts["parameters"].value == pytest.approx(
            model.geometry.parameters(), rel=0.001
        )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("smollm3-3b", "smollm3-3b"),
        ("SmolLM3", "smollm3-3b"),
        ("smollm3", "smollm3-3b"),
        ("HuggingFaceTB/SmolLM3-3B", "smollm3-3b"),
        ("Mistral 3B", "ministral-3-3b-instruct"),
        ("MISTRAL 3B", "ministral-3-3b-instruct"),
        ("SmolLM2-135M-Instruct", "smollm2-135m-instruct"),
    ],
)
def test_a_model_is_found_by_id_checkpoint_or_alias(name: str, model: str) -> None:
    assert models.find(MODELS, name).id == model


def test_an_unknown_model_gets_the_nearest_names() -> None:
    with pytest.raises(UnknownName, match="unknown model 'smollm3-4b': did you mean smollm3-3b"):
        models.find(MODELS, "smollm3-4b")


def test_a_name_of_two_models_is_refused() -> None:
    twin = MODELS["smollm3-3b"].model_copy(update={"id": "twin"})
    with pytest.raises(UserError, match="'SmolLM3' may mean smollm3-3b or twin: name one"):
        models.find({**MODELS, "twin": twin}, "SmolLM3")


def test_an_unknown_quantisation_gets_the_ones_there_are() -> None:
    with pytest.raises(UnknownName, match=r"quantisation of smollm3-3b 'Q4_1'.*Q4_0"):
        MODELS["smollm3-3b"].artifact("Q4_1")


BAD = {
    "unknown field": ("  name: SmolLM3-3B\n", "  nane: SmolLM3-3B\n", r":\d+: smollm3-3b\.nane: "),
    "bad architecture": (
        "architecture: smollm3",
        "architecture: gpt2",
        r"geometry\.architecture: ",
    ),
    "bad number": ("layers: 36", "layers: many", r":\d+: smollm3-3b\.geometry\.layers: "),
    "no digest": ("    sha256: ", "    sha257: ", r"source\.pypi\.sha256: "),
    "bad month": ('as_of: "2026-10"', "as_of: last year", r"facts\.licence\.as_of: "),
    "fact without source": ("source: https", "sauce: https", r"facts\.licence\.source: "),
    "unknown source": ("kind: synthetic", "kind: torrent", r"artifacts\.0\.source: "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named(tmp_path: Path, case: str) -> None:
    old, new, expected = BAD[case]
    text = (ROOT / "models.yaml").read_text()
    assert old in text
    path = tmp_path / "models.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BadFile, match=expected):
        models.load(path)
