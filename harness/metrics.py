"""The one table of metrics: what each is called, what it means, and how it is estimated.

Bytes, seconds, tokens and shares inside; `show` turns a value into text at the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness import shown

Statistic = Literal[
    "log_t", "paired", "wilson", "lead", "slope", "bracket", "exact", "bounds", "price_ratio"
]
"""How `harness.judge` turns samples into an estimate with an interval; see judge/estimates.py."""


@dataclass(frozen=True)
class Metric:
    """One quantity. `comes_from` names the workload that yields it; None means a task."""

    name: str
    label: str
    """What a reader of a page is shown instead of the name."""
    unit: str
    better: Literal["higher", "lower"] | None
    comes_from: str | None
    statistic: Statistic
    show: Callable[[float | str | bool], str]
    definition: str
    misses: str


_TIMED = "quality of the output; sustained speed once the machine is hot"
_MEMORY = "memory of other programs; behaviour once the context is full of real text"
_FACT = "whether the published document is right"

_ROWS = (
    Metric(
        "prefill_rate",
        "prefill rate",
        "tokens/s",
        "higher",
        "speed",
        "log_t",
        shown.rate,
        "prompt tokens divided by the time from the start of the first decode call until the "
        "prompt is evaluated; the mean over a process's repeats is one sample",
        _TIMED,
    ),
    Metric(
        "decode_rate",
        "decode rate",
        "tokens/s",
        "higher",
        "speed",
        "log_t",
        shown.rate,
        "new tokens after the first, divided by the time they took; the mean over a process's "
        "repeats is one sample",
        _TIMED,
    ),
    Metric(
        "decode_ratio",
        "ratio of decode rates",
        "ratio",
        "higher",
        "speed",
        "paired",
        shown.ratio,
        "decode_rate of the claim's model over that of the model it is compared with, from "
        "processes that took turns",
        _TIMED,
    ),
    Metric(
        "time_to_first_token",
        "time to first token",
        "s",
        "lower",
        "speed",
        "log_t",
        shown.seconds,
        "from the first decode call until the first token is sampled, model loaded and warm",
        _TIMED,
    ),
    Metric(
        "inter_token_p50",
        "median time between tokens",
        "s",
        "lower",
        "speed",
        "log_t",
        shown.seconds,
        "median time between two tokens of one process",
        _TIMED,
    ),
    Metric(
        "inter_token_p90",
        "time between tokens, 90th percentile",
        "s",
        "lower",
        "speed",
        "log_t",
        shown.seconds,
        "90th percentile of the time between two tokens of one process; needs 64 of them",
        _TIMED,
    ),
    Metric(
        "inter_token_p99",
        "time between tokens, 99th percentile",
        "s",
        "lower",
        "speed",
        "log_t",
        shown.seconds,
        "99th percentile of the time between two tokens of one process; needs 662 of them",
        _TIMED,
    ),
    Metric(
        "load_time",
        "load time",
        "s",
        "lower",
        "load",
        "log_t",
        shown.seconds,
        "from the call that opens the file until a context is ready, with the file's pages "
        "evicted from the page cache (cold) or read beforehand (warm)",
        "starting Python and importing the runtime; weights that are first read at first use",
    ),
    Metric(
        "anonymous_peak",
        "peak of its own memory",
        "bytes",
        "lower",
        "memory",
        "log_t",
        shown.size,
        "largest RssAnon of the worker process, its Python included: memory of its own, without "
        "mapped files",
        _MEMORY,
    ),
    Metric(
        "resident_peak",
        "peak of resident memory",
        "bytes",
        "lower",
        "memory",
        "log_t",
        shown.size,
        "largest resident set of the worker including mapped weights (VmHWM)",
        _MEMORY,
    ),
    Metric(
        "kv_bytes_per_token",
        "KV cache per token",
        "bytes",
        "lower",
        "memory",
        "slope",
        shown.size,
        "growth of the worker's anonymous memory while the context is created, per token of "
        "context, between the shortest and the longest context",
        _MEMORY,
    ),
    Metric(
        "largest_context",
        "largest context that fits",
        "tokens",
        "higher",
        "memory",
        "bracket",
        shown.tokens,
        "largest tested context length at which every process finished under the memory cap "
        "without going back to the disk for weights while decoding (fewer than 100 major faults); "
        "the whole KV cache is allocated and written once, a short prompt is evaluated",
        "speed and memory with the context full of text; a vision tower",
    ),
    Metric(
        "tool_call_accuracy",
        "share of calls exactly right",
        "share",
        "higher",
        None,
        "wilson",
        shown.share,
        "share of items answered with exactly the calls that are right, names and arguments under "
        "BFCL's rule, or with none where none is right",
        "what the model would do with a tool's answer",
    ),
    Metric(
        "invented_share",
        "share that invents a tool or argument",
        "share",
        "lower",
        None,
        "wilson",
        shown.share,
        "share of items that call a tool or pass an argument that was not on offer",
        "wrong values of arguments that do exist; a model that makes no call invents nothing",
    ),
    Metric(
        "schema_share",
        "share of JSON that follows its schema",
        "share",
        "higher",
        None,
        "wilson",
        shown.share,
        "share of answers that are one JSON value, nothing around it, that the schema allows",
        "whether the values are right; a runtime that holds the model to a grammar",
    ),
    Metric(
        "answer_accuracy",
        "share of answers right",
        "share",
        "higher",
        None,
        "wilson",
        shown.share,
        "share of items whose answer is the data set's, but for case, white space around it and a "
        "full stop at its end; items about one picture count as one sample of it",
        "answers in other words; pictures and questions of other kinds than the data set's",
    ),
    Metric(
        "task_accuracy",
        "accuracy by the task's rule",
        "share",
        "higher",
        None,
        "wilson",
        shown.share,
        "mean over items of what the answer is worth by the task's own rule: 1 where it is right "
        "(the likeliest option is the data set's, the number found in the answer is, every test of "
        "the program passes), 0 where it is wrong, and between where the rule has parts (ANLS, VQA "
        "accuracy)",
        "other prompts, examples and rules for the same data: the task's file says which",
    ),
    Metric(
        "accuracy_lead",
        "share of items right, less that of the other",
        "share",
        "higher",
        None,
        "lead",
        shown.points,
        "what the answers are worth in the mean, less what those of the other model or "
        "quantisation are, over the items that both answered, pair by pair",
        "other prompts, examples and rules for the same data: the task's file says which",
    ),
    Metric(
        "parameters",
        "parameters",
        "count",
        None,
        "facts",
        "exact",
        shown.count,
        "number of weights",
        _FACT,
    ),
    Metric(
        "context_window",
        "context window",
        "tokens",
        "higher",
        "facts",
        "exact",
        shown.tokens,
        "longest context that the published configuration gives",
        "quality at that length",
    ),
    Metric(
        "licence",
        "licence",
        "name",
        None,
        "facts",
        "exact",
        shown.plain,
        "licence identifier",
        _FACT,
    ),
    Metric(
        "open_weights",
        "weights published",
        "yes or no",
        None,
        "facts",
        "exact",
        shown.plain,
        "whether weights are published for download",
        _FACT,
    ),
    Metric(
        "gguf_export",
        "GGUF files published",
        "yes or no",
        None,
        "facts",
        "exact",
        shown.plain,
        "whether GGUF files of the weights are published by their makers or by llama.cpp's",
        _FACT,
    ),
    Metric(
        "price_ratio",
        "price over that of the other",
        "ratio",
        "lower",
        "prices",
        "price_ratio",
        shown.ratio,
        "list price per token over that of another hosted model, from all input to all output",
        "discounts, caching and batches; how many tokens either needs for one answer",
    ),
    Metric(
        "offered_context",
        "context offered",
        "tokens",
        "higher",
        "prices",
        "exact",
        shown.tokens,
        "longest context that the hosted model is listed with",
        "quality at that length",
    ),
    Metric(
        "listed",
        "listed as offered",
        "yes or no",
        None,
        "prices",
        "exact",
        shown.plain,
        "whether a price list of that day has the hosted model at that provider",
        "whether a request is answered; since when",
    ),
    Metric(
        "function_calling",
        "listed with function calling",
        "yes or no",
        None,
        "prices",
        "exact",
        shown.plain,
        "whether a price list of that day says of the hosted model that it takes tools",
        "whether its calls are right",
    ),
    Metric(
        "works",
        "runs as written",
        "yes or no",
        None,
        "calls",
        "exact",
        shown.plain,
        "whether the code ends without an error, in a process of its own, with the versions named",
        "other versions; whether it does what it is for",
    ),
    Metric(
        "panel_share",
        "share of reviewers who say ship",
        "share",
        None,
        "panel",
        "bounds",
        shown.share,
        "share of the page's reviewers whose own words say ship; a reviewer who says neither "
        "counts as both in the bounds",
        "what the panel voted outside the text",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ROWS}

LOOKED_UP = ("facts", "panel", "prices", "calls")
"""Workloads that measure no machine: their answer holds on any."""
