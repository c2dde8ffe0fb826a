"""Scores pairs with the originals: bfcl-eval, lm-eval and lmms-eval. Runs in their own environment.

Reads JSON from stdin, {rule's key: [[answer, references], ..]}, and writes {key: [score, ..]}; a
pair on which an original raises has the score null. The originals are installed without the heavy
part of what they depend on: those modules are stand-ins, which the functions called here do not
use. `scripts/compare-scorers` builds the environment and is the only caller.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import stand_ins

STAND_INS = {
    "pandas",
    "huggingface_hub",
    "dill",
    "accelerate",
    "av",
    "datasets",
    "decord",
    "evaluate",
    "torch",
    "transformers",
}


def _originals() -> dict[str, Callable[[str, Sequence[str]], float]]:
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter
    from lm_eval.tasks.chartqa.utils import RelaxedCorrectness
    from lm_eval.tasks.tydiqa import utils as tydiqa
    from lmms_eval.api.metrics import anls
    from lmms_eval.tasks.chartqa.utils import relaxed_correctness
    from lmms_eval.tasks.mmstar.utils import exact_match as mmstar
    from lmms_eval.tasks.ocrbench.utils import ocrbench_process_results
    from lmms_eval.tasks.realworldqa.utils import realworldqa_process_results
    from lmms_eval.tasks.textvqa.utils import textvqa_process_results
    from lmms_eval.tasks.vqav2.utils import vqav2_process_results

    def ocr(data_set: str) -> Callable[[str, Sequence[str]], float]:
        def score(answer: str, references: Sequence[str]) -> float:
            doc = {"answer": list(references), "dataset": data_set, "question_type": ""}
            found = ocrbench_process_results(doc, [answer])
            return float(found["ocrbench_accuracy"]["score"])

        return score

    def letter(answer: str, references: Sequence[str]) -> float:
        one = references[0]
        if one.strip().upper() in tuple("ABCD"):
            by_mmstar = mmstar(answer, one)
            by_realworldqa = realworldqa_process_results({"answer": one}, [answer])["exact_match"]
            if by_mmstar != by_realworldqa:
                raise ValueError("its two tasks disagree")
            return float(by_mmstar)
        return float(realworldqa_process_results({"answer": one}, [answer])["exact_match"])

    def vqa(answer: str, references: Sequence[str]) -> float:
        said = [{"answer": one, "answer_id": at} for at, one in enumerate(references)]
        return float(
            vqav2_process_results({"answers": said, "question_id": 0}, [answer])["exact_match"]
        )

    def number(pattern: str, select: int) -> Callable[[str, Sequence[str]], float]:
        regex = RegexFilter(pattern, select)
        ignored = [",", r"\$", "(?s).*#### ", r"\.$"]

        def score(answer: str, references: Sequence[str]) -> float:
            found = next(iter(regex.apply([[answer]], [])))
            return float(
                exact_match_hf_evaluate(
                    found, [references[0]], regexes_to_ignore=ignored, ignore_case=True
                )["exact_match"]
            )

        return score

    def tydi(metric: Any) -> Callable[[str, Sequence[str]], float]:
        return lambda answer, references: float(
            tydiqa.metric_max_over_ground_truths(metric, answer, references, "en")
        )

    return {
        "anls/lmms-eval": lambda a, r: float(anls(list(r), [a])["anls"]),
        "choice_letter/lmms-eval": letter,
        "containment/lmms-eval": ocr(""),
        "formula_containment/lmms-eval": ocr("HME100k"),
        "exact_match/lm-eval": tydi(tydiqa.exact_match_score),
        "f1/lm-eval": tydi(tydiqa.f1_score),
        "final_number_strict/lm-eval": number(r"#### (\-?[0-9\.\,]+)", 0),
        "final_number_flexible/lm-eval": number(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1),
        "relaxed_accuracy/lmms-eval": lambda a, r: float(relaxed_correctness(a, r[0])),
        "relaxed_accuracy/lm-eval": lambda a, r: float(RelaxedCorrectness().score(a, list(r))),
        "vqa_accuracy/lmms-eval textvqa": lambda a, r: float(
            textvqa_process_results({"answers": list(r), "question_id": 0}, [a])["exact_match"]
        ),
        "vqa_accuracy/lmms-eval vqav2": vqa,
    }


def _score(rule: Callable[[str, Sequence[str]], float], pair: Any) -> float | None:
    try:
        return rule(*pair)
    except Exception:  # whatever an original does on hostile input
        return None


def main() -> None:
    stand_ins.install(STAND_INS)
    rules = _originals()
    asked = json.load(sys.stdin)
    print(json.dumps({key: [_score(rules[key], pair) for pair in asked[key]] for key in asked}))


if __name__ == "__main__":
    main()
