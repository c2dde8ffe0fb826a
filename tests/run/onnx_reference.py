"""What ONNX Runtime's answers are held against, and the exports that give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_onnx import SETTINGS
from workers import TINY, real

from harness import prepare
from harness.ask import models
from harness.run.runtimes import RUNTIMES, fixed_prompt
from harness.run.runtimes.onnx import Onnx

MODEL = models.load()["smollm2-135m-instruct"]


def exported(quantisation: str, model: str = MODEL.id) -> Path:
    """The folder of one of the project's own exports; made once a machine."""
    found = models.load()[model]
    return prepare.prepare(found, found.artifact(quantisation, ("onnx",))).path


def request(workload: str, folder: Path, **changes: Any) -> Any:
    """For a worker that runs the folder."""
    known = {"runtime": RUNTIMES["onnx"].target, "settings": SETTINGS, "shape": TINY}
    return real(workload, folder, **(known | changes))


def greedy(model: Any, prompt: list[int], new_tokens: int) -> list[int]:
    """What transformers answers, never ending before."""
    import torch

    ids = torch.tensor([prompt])
    with torch.inference_mode():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=None,
            max_new_tokens=new_tokens,
            eos_token_id=-1,
            pad_token_id=0,
        )
    return list(made[0, len(prompt) :].tolist())


def first_logits(found: Onnx, prompt: list[int]) -> Any:
    """Of the token after the prompt, as `evaluate` reads them."""
    from harness.run.runtimes.onnx_call import Call

    found._cache.clear()
    call = Call(found._sessions, found._cache, len(prompt), range(1))
    call.ids[0] = prompt
    return call.run(0).copy()


def reference_logits(model: Any, prompt: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return model(torch.tensor([prompt])).logits[0, -1].numpy()


def computed_whole(found: Onnx) -> None:
    prefix = fixed_prompt(40, found.vocabulary())
    answers = []
    for prompt in (prefix, [*prefix, 5, 6, 7], [*prefix, 5, 6, 7], prefix[:20], prefix):
        answer = found.evaluate(prompt, 3, stop_at_end=False)
        assert answer.evaluated_tokens == len(prompt)
        answers.append(answer.tokens)
    assert answers[0] == answers[-1]
    assert answers[1] == answers[2]


def counted_in_the_cache(found: Onnx) -> None:
    first_logits(found, fixed_prompt(10, found.vocabulary()))
    assert found._cache.filled() == 10
    found._cache.clear()
    assert found._cache.filled() == 0
