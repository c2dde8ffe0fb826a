"""Both sides of compare-load. Each says when the model and its context are there, and ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def ready(request: Any, _: Any) -> Iterator[dict[str, Any]]:
    """The harness's, as a workload of its worker."""
    from harness.run.workloads import make_runtime

    runtime = make_runtime(request)
    runtime.load(str(request.artifact), request.need_settings())
    runtime.create_context()
    yield {"kind": "ready", "applied": runtime.applied()}


def alone(artifact: str, settings: dict[str, Any]) -> None:
    """llama.cpp's, with the same settings and nothing of the harness."""
    import ctypes

    import llama_cpp as api

    quiet = api.llama_log_callback(lambda *_: None)
    api.llama_log_set(quiet, ctypes.c_void_p(0))
    api.llama_backend_init()
    own, params = settings["options"], api.llama_model_default_params()
    params.n_gpu_layers = own["gpu_layers"]
    params.load_mode = api.LLAMA_LOAD_MODE_MMAP if own["mmap"] else api.LLAMA_LOAD_MODE_NONE
    model = api.llama_model_load_from_file(artifact.encode(), params)
    asked = api.llama_context_default_params()
    asked.n_ctx, asked.n_batch, asked.n_ubatch = settings["context"], own["batch"], own["ubatch"]
    asked.n_threads = asked.n_threads_batch = settings["threads"]
    asked.flash_attn_type = int(own["flash_attention"])
    asked.swa_full = False
    if not model or not api.llama_init_from_model(model, asked):
        raise SystemExit(f"llama.cpp cannot load {Path(artifact).name}")
    print("ready", flush=True)


if __name__ == "__main__":
    alone(sys.argv[1], json.loads(sys.argv[2]))
