"""Small random models that see, in folders, as the transformers library writes them.

Pictures are cut into tiles of 32 pixels, as SmolVLM cuts them into tiles of 512.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers import models as kinds
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

TILE, PATCH, SHUFFLE, MOST = 32, 8, 2, 3
TILE_TOKENS = (TILE // PATCH // SHUFFLE) ** 2
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}:"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
_TEXT = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 320,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,  # enough for answers that wander
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_VISION = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": TILE,
    "patch_size": PATCH,
    "initializer_range": 0.3,
}
FAMILIES = {"idefics3": Idefics3ImageProcessorPil, "smolvlm": SmolVLMImageProcessorPil}


def write_vlm(folder: Path, family: str = "idefics3", **text: Any) -> Path:
    """A model of `family` with weights from a fixed seed that cuts pictures into tiles."""
    config = AutoConfig.for_model(
        family,
        text_config=_TEXT | text,
        vision_config=_VISION,
        scale_factor=SHUFFLE,
        image_token_id=SPECIAL.index("<image>"),
        tie_word_embeddings=False,
    )
    torch.manual_seed(1)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    size = {"longest_edge": MOST * TILE}
    images = FAMILIES[family](size=size, max_image_size={"longest_edge": TILE})
    Idefics3Processor(
        images, _tokenizer(), image_seq_len=TILE_TOKENS, chat_template=TEMPLATE
    ).save_pretrained(folder)
    if family == "smolvlm":  # as published; its own class cannot be made without torchvision
        for name in ("processor_config.json", "tokenizer_config.json"):
            path = folder / name
            path.write_text(
                json.dumps(json.loads(path.read_text()) | {"processor_class": "SmolVLMProcessor"})
            )
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    texts = (*SPECIAL, *sorted(ByteLevel.alphabet()))
    vocabulary = {text: index for index, text in enumerate(texts)}
    tokenizer = Tokenizer(kinds.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[0]
    )
