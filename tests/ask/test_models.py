"""models.yaml: published shapes and counts agree, facts are cited, names lead to one model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.ask import models, prices
from harness.errors import BadFile, UnknownName, UserError

ROOT = Path(__file__).parents[2]
EVERY = models.load(ROOT / "models.yaml")
MODELS = {name: model for name, model in EVERY.items() if model.geometry}
"""Those of which weights are published."""

# Bytes of KV cache per token at 16 bits, from the publishers' configurations by hand.
KV = {
    "smoke-vlm": 768,
    "smollm2-135m-instruct": 23_040,
    "smollm3-3b": 73_728,
    "smolvlm-256m-instruct": 23_040,
    "smolvlm-500m-instruct": 40_960,
    "smolvlm2-2.2b-instruct": 196_608,
    "ministral-3-3b-instruct": 106_496,
    "mistral-small-3.1-24b-instruct": 163_840,
    "llama-3.1-8b-instruct": 131_072,
    "gemma-3-4b-it": 20_480,  # only 5 of its 34 layers see more than 1024 tokens
}


@pytest.mark.parametrize("name", MODELS)
def test_the_shape_has_as_many_weights_as_are_published(name: str) -> None:
    """The published count is a fact of the row, with its source; nobody derived it from this."""
    published = MODELS[name].facts["parameters"].value
    rounded = int(published) % 1_000_000 == 0
    assert MODELS[name].parameters() == pytest.approx(published, rel=0.005 if rounded else 0.0001)


@pytest.mark.parametrize(
    ("name", "text", "vision"),
    [
        ("ministral-3-3b-instruct", 3_429_006_336, 420_083_712),
        ("mistral-small-3.1-24b-instruct", 23_572_403_200, 438_958_080),
        ("smolvlm-256m-instruct", 162.9e6, 93.4e6),
        ("smoke-vlm", 1_254_720, 924_544),
    ],
)
def test_text_and_vision_are_each_as_large_as_published(
    name: str, text: float, vision: float
) -> None:
    model = MODELS[name]
    assert model.vision
    assert model.geometry.parameters() == pytest.approx(text, rel=0.001)
    assert model.vision.parameters() == pytest.approx(vision, rel=0.005)


@pytest.mark.parametrize("name", KV)
def test_a_token_adds_as_much_to_the_kv_cache_as_published(name: str) -> None:
    assert MODELS[name].geometry.kv_bytes_per_token() == KV[name]


def test_a_local_layer_keeps_no_more_than_its_window() -> None:
    shape = MODELS["gemma-3-4b-it"].geometry
    per_layer = 4 * 4 * 256
    assert shape.kv_bytes(1024) == 34 * 1024 * per_layer
    assert shape.kv_bytes(8192) == (5 * 8192 + 29 * 1024) * per_layer


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].vision])
def test_tokens_of_a_tile_follow_from_its_patches(name: str) -> None:
    vision = MODELS[name].vision
    assert vision
    if name == "minicpm-v-2.6":  # asks each tile 64 learnt questions
        assert vision.tokens_per_tile == 64
    elif vision.tokens_per_tile:
        assert vision.tokens_per_tile == (vision.image // vision.patch // vision.merge) ** 2


@pytest.mark.parametrize("name", MODELS)
def test_facts_are_public_and_agree_with_the_geometry(name: str) -> None:
    model = MODELS[name]
    for source in (fact.source for fact in model.facts.values()):
        assert source.startswith("https://") or (ROOT / source).is_file()
    assert {"licence", "open_weights", "parameters"} <= set(model.facts)
    if "context_window" in model.facts:
        assert model.facts["context_window"].value == model.geometry.context


@pytest.mark.parametrize("name", MODELS)
def test_what_is_unconfirmed_names_a_field_and_is_no_fact(name: str) -> None:
    model = MODELS[name]
    for place in model.unconfirmed:
        part, field = place.split(".")
        assert field in type(getattr(model, part)).model_fields
    if "geometry.context" in model.unconfirmed:
        assert "context_window" not in model.facts


def test_a_model_without_weights_is_one_that_somebody_serves() -> None:
    hosted = {name: model.endpoint() for name, model in EVERY.items() if not model.geometry}
    assert hosted
    for name, source in hosted.items():
        assert source
        assert source.service in prices.load(ROOT / "prices.yaml")
        assert EVERY[name].alias_note
        with pytest.raises(UserError, match="hosted model"):
            EVERY[name].parameters()


@pytest.mark.parametrize("name", MODELS)
def test_a_name_that_matches_no_checkpoint_is_explained(name: str) -> None:
    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9.]", "", text.casefold())

    model = MODELS[name]
    strange = [one for one in model.aliases if plain(one) not in plain(model.checkpoint)]
    assert model.alias_note or not strange


@pytest.mark.parametrize("name", MODELS)
def test_form_and_quantisation_name_one_artifact(name: str) -> None:
    forms = [(one.format, one.quantisation) for one in MODELS[name].artifacts]
    assert len(set(forms)) == len(forms)


def test_every_name_leads_to_its_model() -> None:
    for model in MODELS.values():
        for name in (model.id, model.name, model.checkpoint, *model.aliases):
            assert models.find(MODELS, name) is model


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
        ("SmolVLM-3B", "smolvlm-2.2b-instruct"),
        ("SmolVLM 2.5", "smolvlm2-2.2b-instruct"),
        ("Mistral 3.1", "mistral-small-3.1-24b-instruct"),
        ("Phi-3.5-Vision", "phi-3.5-vision-instruct"),
        ("MiniCPM-V", "minicpm-v-2.6"),
        ("Moondream", "moondream2"),
        ("Moondream 2", "moondream2"),
        ("PaliGemma 2", "paligemma-2-3b"),
        ("Qwen2.5-VL-3B", "qwen2.5-vl-3b-instruct"),
        ("Phi-3-mini", "phi-3-mini-4k-instruct"),
        ("Gemma-3-2B", "gemma-3-4b-it"),
        ("Gemma 3 2B", "gemma-3-4b-it"),
        ("Qwen2.5-3B", "qwen2.5-3b-instruct"),
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
