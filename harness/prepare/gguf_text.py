"""The text part of an exported GGUF file: shape, tokenizer and chat template of a Llama."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # types of a token, as in llama.h
_FAMILIES = ("llama", "idefics3", "smolvlm")
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_SPLITS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_BYTES],
    "smollm": [{"type": "Digits", "individual_digits": True}, _BYTES],
}
"""How text is split before it is tokenised, by llama.cpp's name for it."""


def check(config: Any) -> None:
    """Ends the export of what would be written wrong."""
    text = config.get_text_config()
    if config.model_type not in _FAMILIES or text.model_type != "llama":
        raise SystemExit(f"{config.model_type} with {text.model_type} cannot be exported as GGUF")
    if text.hidden_act != "silu":
        raise SystemExit(f"llama.cpp's Llama has silu, this one {text.hidden_act}")
    if (kind := text.rope_parameters["rope_type"]) != "default":
        raise SystemExit(f"RoPE of type {kind} is not exported")


def describe(writer: Any, text: Any, origin: Path) -> None:
    """All metadata but the file's type."""
    writer.add_vocab_size(text.vocab_size)
    writer.add_context_length(text.max_position_embeddings)
    writer.add_embedding_length(text.hidden_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_key_length(text.head_dim)
    writer.add_value_length(text.head_dim)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_dimension_count(text.head_dim)
    writer.add_rope_freq_base(text.rope_parameters["rope_theta"])
    _describe_tokenizer(writer, text.vocab_size, origin)


def interleaved(values: Any, heads: int) -> Any:
    """Rows (or biases) of queries or keys in the order of llama.cpp's RoPE for Llama.

    It turns neighbouring values of a head, where transformers turns those half a head apart.
    """
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _describe_tokenizer(writer: Any, size: int, origin: Path) -> None:
    tokenizer = read_json(origin / "tokenizer.json")
    model = tokenizer["model"]
    if model["type"] != "BPE" or tokenizer["normalizer"] or model.get("byte_fallback"):
        raise SystemExit("only a byte-level BPE tokenizer without normaliser is exported")
    if not model["merges"]:
        raise SystemExit("llama.cpp cannot read a BPE tokenizer without merges")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_split_name(tokenizer["pre_tokenizer"]))
    tokens, kinds = _tokens(model["vocab"], tokenizer["added_tokens"], size)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = (one if isinstance(one, str) else " ".join(one) for one in model["merges"])
    writer.add_token_merges(list(merges))
    writer.add_add_bos_token(False)  # a chat template writes its own
    configured = read_json(origin / "tokenizer_config.json")
    for name, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
        ("unk_token", writer.add_unk_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        token = configured.get(name)
        text = token["content"] if isinstance(token, dict) else token
        if text in tokens:
            add(tokens.index(text))
    if template := _chat_template(origin, configured):
        writer.add_chat_template(template)


def _split_name(pre_tokenizer: dict[str, Any]) -> str:
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    bare = [{key: step[key] for key in step if key != "trim_offsets"} for step in steps]
    for name, split in _SPLITS.items():
        if bare == split:
            return name
    raise SystemExit(f"llama.cpp's name for a tokenizer that splits by {bare} is not known")


def _tokens(
    vocabulary: dict[str, int], added: list[dict[str, Any]], size: int
) -> tuple[list[str], list[int]]:
    """Text and type of every row of the embeddings; rows without a token are unused."""
    found = {number: (text, _NORMAL) for text, number in vocabulary.items()}
    for one in added:
        found[one["id"]] = (one["content"], _CONTROL if one["special"] else _USER_DEFINED)
    if (most := max(found)) >= size:
        raise SystemExit(f"token {most} has no embedding: there are {size}")
    rows = [found.get(row, (f"[PAD{row}]", _UNUSED)) for row in range(size)]
    return [text for text, _ in rows], [kind for _, kind in rows]


def _chat_template(origin: Path, configured: dict[str, Any]) -> str:
    if (path := origin / "chat_template.jinja").exists():
        return path.read_text(encoding="utf-8")
    whole = configured | read_json(origin / "chat_template.json")
    return str(whole.get("chat_template") or "")


def read_json(path: Path) -> dict[str, Any]:
    """What a file of the folder holds; nothing where there is none."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
