"""optimum's side of scripts/compare-optimum. Runs in an environment that has no harness.

`export GGUF FOLDER`: the weights in float32, by optimum's own exporter, as FOLDER/model.onnx.
`generate`: what the workload speed does, by ORTModelForCausalLM; asked by JSON on stdin.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


class Stamps:
    """What `generate` takes for a streamer. The first call brings the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, _: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None: ...


def export(file: Path, folder: Path) -> None:
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM
    from transformers import AutoModelForCausalLM

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    with TemporaryDirectory(dir=folder.parent) as source:
        AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).save_pretrained(source)
        ORTModelForCausalLM.from_pretrained(source, export=True).save_pretrained(folder)


def generate(asked: dict[str, Any]) -> dict[str, Any]:
    import onnxruntime
    import optimum.version
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = asked["threads"]
    model = ORTModelForCausalLM.from_pretrained(asked["folder"], session_options=options)
    model.generation_config.eos_token_id = None  # the same number of tokens on both sides

    def answer(prompt: list[int], new_tokens: int) -> tuple[list[int], dict[str, Any]]:
        stamps, ids = Stamps(), torch.tensor([prompt])
        start = time.perf_counter()
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=new_tokens,
            streamer=stamps,
        )
        times = stamps.times[1:]
        return whole[0, len(prompt) :].tolist(), {
            "first_token_seconds": times[0] - start,
            "token_seconds": [after - before for before, after in pairwise(times)],
        }

    output, _ = answer(asked["check"], asked["check_tokens"])
    answer(asked["prompt"][: asked["warm_up"]], asked["warm_up_tokens"])
    repeats = [answer(asked["prompt"], asked["new_tokens"])[1] for _ in range(asked["repeats"])]
    versions = {"optimum": optimum.version.__version__, "onnxruntime": onnxruntime.__version__}
    return {"output": output, "repeats": repeats, "versions": versions}


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(json.dumps(generate(json.load(sys.stdin))))
