#!/usr/bin/env python3
"""Trains models/smoke-vlm: SmolVLM's architecture, small, on easy-VQA's train split.

    scripts/train_smoke_vlm.py

It takes 6 processor minutes on one core of an AMD EPYC. It can be stopped at any time, and the same
command goes on; the state lies in ~/.cache/claimbench/train/, and without it the training starts
anew. At the end the folder is written, loaded again, and asked every question of the test split;
only a folder that reaches 90% is put in place. Batches depend on the seed and the step alone.
PyTorch takes all cores; OMP_NUM_THREADS=1 leaves one to others. models.yaml holds the sha256 of the
folder's files: where they are others, `harness prepare smoke-vlm` says which to write there.

Exit status: 0 if the folder is in place, 1 if it answers too few questions, 3 if a package lacks.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

if missing := [name for name in ("easy_vqa", "torch", "transformers") if not find_spec(name)]:
    print(f"no {', '.join(missing)}; run: pip install -c constraints.txt -e '.[train]'")
    raise SystemExit(3)

import torch

from harness import home
from smoke_vlm import card, exam, folder, lessons
from smoke_vlm.pictures import split

SEED = 1
EVERY = 120
"""Seconds between two checkpoints."""
NEEDED = 0.9


class State:
    """How far the training is, on disk so that it can go on after any stop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved = torch.load(path, weights_only=True) if path.exists() else {}
        self._before = self.saved.get("cpu_seconds", 0.0) - time.process_time()

    def cpu_seconds(self) -> float:
        """Spent in all, over every time that the command ran."""
        return self._before + time.process_time()

    def keep(self, lesson: lessons.Lesson, step: int, optimiser: torch.optim.Optimizer) -> None:
        """Replaces what is on disk in one rename."""
        whole = {"lesson": lesson.name, "step": step, "cpu_seconds": self.cpu_seconds()}
        whole |= {"lesson_state": lesson.state_dict(), "optimiser": optimiser.state_dict()}
        scratch = self.path.with_suffix(".part")
        torch.save(whole | {"model": lesson.model[0].state_dict()}, scratch)
        scratch.replace(self.path)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def pace(step: int, steps: int) -> float:
    """Share of the highest learning rate: a short rise, then a cosine to nearly nothing."""
    warm = 0.05 * steps
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def optimiser_of(lesson: lessons.Lesson) -> torch.optim.AdamW:
    """Only matrices are pulled towards zero."""
    groups: list[dict[str, object]] = [
        {"params": [one for one in lesson.parameters() if one.ndim > 1], "weight_decay": 0.05},
        {"params": [one for one in lesson.parameters() if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lesson.rate, betas=(0.9, 0.98))


def teach(lesson: lessons.Lesson, state: State) -> None:
    """Gives the steps of the lesson that have not been given yet."""
    optimiser, first = optimiser_of(lesson), 0
    if state.saved.get("lesson") == lesson.name:
        first = state.saved["step"]
        lesson.load_state_dict(state.saved["lesson_state"])
        optimiser.load_state_dict(state.saved["optimiser"])
    told = kept = began = time.monotonic()
    for step in range(first, lesson.steps):
        for group in optimiser.param_groups:
            group["lr"] = lesson.rate * pace(step, lesson.steps)
        loss = lesson.loss(torch.Generator().manual_seed(SEED * 1_000_000 + step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lesson.parameters(), 1.0)
        optimiser.step()
        now, done = time.monotonic(), step + 1
        if now - told >= 45 or done == lesson.steps:
            told, left = now, (now - began) / (done - first) * (lesson.steps - done) / 60
            say(f"{lesson.name} {done}/{lesson.steps}, {left:.0f} min to go: {lesson.learned()}")
        if now - kept >= EVERY or done == lesson.steps:
            kept = now
            state.keep(lesson, done, optimiser)


def train(target: Path) -> card.Training:
    """Trains, or goes on, and writes the folder."""
    state = State(target.with_suffix(".state"))
    torch.manual_seed(SEED)
    shown = split("train")
    words = folder.tokenizer(lessons.texts(shown))
    model = folder.model(words)
    lessons.look_around(model)
    if state.saved:
        model.load_state_dict(state.saved["model"])
    images = lessons.Images(shown)
    course = [lessons.Sight(model, images), lessons.Answers(model, images, words)]
    names = [lesson.name for lesson in course]
    for lesson in course[names.index(state.saved.get("lesson", names[0])) :]:
        teach(lesson, state)
    folder.save(model, words, target)
    return card.Training(
        cpu_minutes=state.cpu_seconds() / 60,
        parameters=model.num_parameters(),
        questions=sum(len(asked) for asked in shown.asked),
        kept_out=lessons.KEPT_OUT,
        seed=SEED,
    )


def main() -> int:
    target = home.cache() / "train" / "smoke-vlm"
    target.mkdir(parents=True, exist_ok=True)
    training = train(target)
    say("the exam: every question of the test split")
    test = split("test")
    answers = list(exam.sit(exam.Candidate(target), test))
    (target / "exam.txt").write_text(exam.paper(answers, test), encoding="utf-8")
    (target / "README.md").write_text(card.card(answers, training), encoding="utf-8")
    right = sum(one.right for one in answers) / len(answers)
    say(f"{right:.2%} of {len(answers)} are right; {NEEDED:.0%} are needed")
    if right < NEEDED:
        return 1
    shutil.copytree(target, home.root() / "models" / "smoke-vlm", dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
