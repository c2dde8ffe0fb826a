"""What lies beside ONNX graphs: tokenizer, chat template, processor, the configurations' facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from harness.run.runtimes import NO_VISION, ArtifactRefused
from harness.run.runtimes.idefics3 import Idefics3


class Folder:
    """Reads all of it at once: llama.cpp, too, reads its file's tokenizer when it loads."""

    def __init__(self, path: Path) -> None:
        config = _json(path / "config.json")
        config |= config.get("text_config", {})
        genai = _json(path / "genai_config.json").get("model", {})
        self.window = config.get("max_position_embeddings") or genai.get("context_length")
        self.head_size = genai.get("decoder", {}).get("head_size") or config.get("head_dim")
        self.ends = _ids(config) | _ids(genai) | _ids(_json(path / "generation_config.json"))
        self.chat_template = _chat_template(path)
        self._tokenizer = _tokenizer(path / "tokenizer.json")
        self._processor = _json(path / "processor_config.json")
        self._images = self._processor.get("image_processor")  # in a file of its own before 5.0
        self._images = self._images or _json(path / "preprocessor_config.json")

    @property
    def tokenizer(self) -> Tokenizer:
        """Raises ArtifactRefused where there is none: without it only token ids go in and out."""
        if self._tokenizer is None:
            raise ArtifactRefused("no tokenizer.json beside the ONNX graphs")
        return self._tokenizer

    def processor(self) -> Idefics3:
        """Raises ArtifactRefused where the images' processor is another, or is not configured."""
        if not self._images:
            raise ArtifactRefused(f"{NO_VISION}: no preprocessor_config.json")
        return Idefics3(self._images, self._processor.get("image_seq_len", 169))


def _tokenizer(path: Path) -> Tokenizer | None:
    if not path.exists():
        return None
    try:
        found = Tokenizer.from_file(str(path))
    except Exception as error:  # what the library raises has no other base
        raise ArtifactRefused(f"{path.name}: {error}") from error
    found.no_truncation()
    found.no_padding()
    return found


def _chat_template(path: Path) -> str:
    """Its own file, else the tokenizer's default one; empty where there is none."""
    own = path / "chat_template.jinja"
    if own.exists():
        return own.read_text(encoding="utf-8")
    given = _json(path / "tokenizer_config.json").get("chat_template") or ""
    if isinstance(given, list):
        given = {one["name"]: one["template"] for one in given}.get("default", "")
    return str(given)


def _ids(config: dict[str, Any]) -> set[int]:
    given = config.get("eos_token_id")
    if given is None:
        return set()
    return set(given) if isinstance(given, list) else {given}


def _json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file. Raises ArtifactRefused where it is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactRefused(f"{path.name}: {error}") from error
    if not isinstance(found, dict):
        raise ArtifactRefused(f"{path.name} holds no JSON object")
    return found
