"""The model's folder: configuration, tokenizer and processor, in transformers' own formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from smoke_vlm.pictures import SIDE

PATCH, SHUFFLE = 8, 2
IMAGE_TOKENS = (SIDE // PATCH // SHUFFLE) ** 2
VOCABULARY = 384
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    "<end_of_utterance>",
)
"""SmolVLM's, less those for the tiles of large images: this model sees one tile."""

TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}:"
    "{% if message.content[0].type == 'text' %} {% endif %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""Lays a chat out as SmolVLM's does: `<|im_start|>User:<image>..<end_of_utterance>`."""


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, as SmolVLM's, its merges learned from `texts` alone."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def processor(words: PreTrainedTokenizerFast) -> Idefics3Processor:
    """One tile of 64 x 64 per image; an image of that size is passed on as it is."""
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    return Idefics3Processor(images, words, image_seq_len=IMAGE_TOKENS, chat_template=TEMPLATE)


def model(words: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    """SmolVLM's architecture, small. Every row of a matrix is a multiple of 64 (Q4_0 needs 32)."""
    ids = {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        initializer_range=0.05,
        tie_word_embeddings=True,
        **ids,
    )
    vision = Idefics3VisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        initializer_range=0.06,
    )
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=SHUFFLE,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=True,
        **ids,
    )
    return Idefics3ForConditionalGeneration(config)


def save(
    trained: Idefics3ForConditionalGeneration, words: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Writes the folder; weights as fp16, which halves the file and is tested as loaded to fp32."""
    trained.generation_config.do_sample = False
    trained.to(torch.float16).save_pretrained(folder)
    processor(words).save_pretrained(folder)
