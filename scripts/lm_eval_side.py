"""lm-eval's part of scripts/compare-lm-eval, in an environment that has lm-eval and no harness.

Told on stdin which model, rows and batch size; answers on stdout with the log-likelihood of every
option by the row's id, and the seconds that lm-eval's model took for all of them.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any


def task(subject: str, folder: str) -> dict[str, Any]:
    """As lm-eval's own tasks of MMLU."""
    return {
        "task": subject,
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {part: f"{folder}/{subject}-{part}.jsonl" for part in ("test", "dev")}
        },
        "test_split": "test",
        "fewshot_split": "dev",
        "fewshot_config": {"sampler": "first_n"},
        "description": f"The following are multiple choice questions (with answers) about "
        f"{subject.replace('_', ' ')}.\n\n",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\n"
        "C. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }


def main() -> dict[str, Any]:
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    model = HFLM(
        pretrained=asked["model"], dtype="float32", device="cpu", batch_size=asked["batch"]
    )
    spent = 0.0
    score = model.loglikelihood

    def timed(*arguments: Any, **named: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        found = score(*arguments, **named)
        spent += time.perf_counter() - start
        return found

    model.loglikelihood = timed
    found = simple_evaluate(
        model=model,
        tasks=[task(subject, asked["folder"]) for subject in asked["subjects"]],
        num_fewshot=asked["shots"],
        bootstrap_iters=0,
    )
    likelihoods = {
        sample["doc"]["id"]: [float(one[0][0]) for one in sample["resps"]]
        for samples in found["samples"].values()
        for sample in samples
    }
    return {"seconds": spent, "likelihoods": likelihoods}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # lm-eval's own words are not the answer
        answer = main()
    print(json.dumps(answer))
