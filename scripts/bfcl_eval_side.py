"""bfcl-eval's part of scripts/compare-bfcl-eval, in an environment of its own.

Told on stdin which conversations, server and tokenizer; answers on stdout with what bfcl-eval
generated for each, and the seconds from its first request to its last answer. The generation is
bfcl-eval's own, with its handler for local servers, which leaves the prompts as they are given:
bfcl-eval would put its own before them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import stand_ins

STAND_INS = {
    "anthropic", "boto3", "cohere", "datamodel_code_generator", "google", "mistralai", "pandas",
    "qwen_agent", "tree_sitter", "tree_sitter_java", "tree_sitter_javascript", "writerai",
}  # fmt: skip
"""Clients of hosted models, parsers of Java and JavaScript, and tables: not used here."""


def handler(limit: int | None, heard: dict[str, Any], named: dict[str, Any]) -> Any:
    """bfcl-eval's handler for any local model; `heard` is told times, and what was said."""
    from bfcl_eval.model_handler.local_inference.quick_testing_oss import QuickTestingOSSHandler

    one = QuickTestingOSSHandler(**named)
    completions = one.client.completions
    create, infer = completions.create, one.inference

    def greedily(**asked: Any) -> Any:
        """Without the penalty on repetition that the server has where it is told of none."""
        most = min(asked["max_tokens"], limit or asked["max_tokens"])
        return create(**asked | {"max_tokens": most, "extra_body": {"repeat_penalty": 1.0}})

    def timed(entry: dict[str, Any], *more: Any) -> Any:
        heard.setdefault("start", time.perf_counter())
        text, told = infer(entry, *more)
        heard["end"] = time.perf_counter()
        heard["said"][entry["id"]] = {
            "text": text,
            "prompt": told["inference_log"][0]["content"]["formatted_prompt"],
            "prompt_tokens": told["input_token_count"],
            "new_tokens": told["output_token_count"],
        }
        return text, told

    one._pre_query_processing_prompting = lambda entry: {"message": [], "function": []}
    one.inference, completions.create = timed, greedily
    return one


def main() -> dict[str, Any]:
    asked = json.load(sys.stdin)
    stand_ins.install(STAND_INS)
    heard: dict[str, Any] = {"said": {}}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"BFCL_PROJECT_ROOT": folder, "LOCAL_SERVER_ENDPOINT": "127.0.0.1"}
        os.environ["LOCAL_SERVER_PORT"] = str(asked["port"])
        from bfcl_eval import _llm_response_generation as generation

        generation.MODEL_CONFIG_MAPPING["given"] = SimpleNamespace(
            model_name="given",
            model_handler=lambda **named: handler(asked["limit"], heard, named),
            is_fc_model=False,
        )
        chosen = Namespace(
            temperature=0.0,
            num_threads=1,  # the server answers one request at a time
            result_dir=Path(folder),
            run_ids=False,
            include_input_log=True,
            exclude_state_log=True,
            num_gpus=0,
            gpu_memory_utilization=0,
            backend="vllm",
            skip_server_setup=True,
            local_model_path=asked["tokenizer"],
            lora_modules=None,
            enable_lora=False,
            max_lora_rank=None,
        )
        entries = [
            {"id": id_, "question": [messages], "function": []}
            for id_, messages in asked["items"].items()
        ]
        generation.generate_results(chosen, "given", entries)
    return {"seconds": heard["end"] - heard["start"], "said": heard["said"]}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # bfcl-eval's own words are not the answer
        answer = main()
    print(json.dumps(answer))
