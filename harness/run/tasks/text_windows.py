"""The task kind "text_windows": how likely a model finds a text, window by window.

Perplexity as llama.cpp's llama-perplexity defines it: the text's tokens are cut into windows, each
is read from an empty context, and the tokens of its second half are scored, but for the half's
first. tools/perplexity/perplexity.cpp at https://github.com/ggml-org/llama.cpp. Windows hold tokens
and not characters, so perplexities compare only between models with one tokenizer.

An item is worth the share of its tokens that the model would have said itself. Perplexity, and how
far two runs agree, are metrics of their own, from the log-probabilities that the item records.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import fmean

from harness.ask.task_options import TextWindows
from harness.ask.tasks import Task
from harness.errors import BadFile
from harness.run.tasks import Item, Respondent, Score, graded, wheel_data

VERSION = 1

OUTCOMES = {"read": "the text was scored; there is no wrong answer to it"}


def items(task: Task, data: Path, limit: int | None) -> list[Item]:
    """Windows in the task's order, each with the whole text: where it is cut depends on the model.

    An item's id is its window's number in the text.
    """
    number = wheel_data.count(task, limit)
    try:
        text = data.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"task {task.name}: {data.name}: {error}") from error
    windows = {f"{at:03}": at for at in range(task.rows.available)}
    messages = [{"role": "user", "content": text}]
    return [
        Item(id_, messages, {"window": windows[id_]})
        for id_ in task.rows.order(list(windows))[:number]
    ]


def weighs(_: Task) -> bool:
    return True


def ask(task: Task, item: Item, respondent: Respondent) -> str:
    """The number of tokens scored, how many of them were the likeliest, and their mean logarithm.

    Raises BadFile where the text, in this model's tokens, ends before the window does.
    """
    if not isinstance(task.options, TextWindows):
        raise TypeError(f"task {task.name} has no windows")
    text, window = item.messages[0]["content"], item.payload["window"]
    found = respondent.window(text, window, task.options.window)
    logprobs, hits = [one for one, _ in found], [hit for _, hit in found]
    return json.dumps({"tokens": len(hits), "likeliest": sum(hits), "logprob": fmean(logprobs)})


def score(item: Item, output: str) -> Score:
    """Worth the share of its tokens that were the likeliest."""
    said = json.loads(output)
    detail = f"perplexity {math.exp(-said['logprob']):.4g}"
    return graded(said["likeliest"] / said["tokens"], ("read",) * 3, detail, {})
