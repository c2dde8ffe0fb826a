"""The table of metrics: each row is complete, readable, and has a way from samples to a number."""

from __future__ import annotations

import re

import pytest

from harness.judge import estimates
from harness.metric import Metric
from harness.metrics import METRICS
from harness.run import values
from harness.run.workloads import WORKLOADS

ROWS = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


@ROWS
def test_a_row_is_complete(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z0-9_]+", metric.name)
    assert metric.unit and metric.definition and metric.misses
    assert metric.comes_from is None or metric.comes_from in WORKLOADS


@ROWS
def test_a_row_has_a_statistic_and_a_value(metric: Metric) -> None:
    assert metric.statistic in estimates._STATISTICS
    if metric.statistic in ("log_t", "paired", "slope", "bracket"):
        known = {"speed": values._SPEED, "memory": values._MEMORY}
        assert metric.name == "load_time" or metric.name in known[str(metric.comes_from)]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("decode_rate", 41.26, "41.3 tokens/s"),
        ("time_to_first_token", 0.0123, "12.3 ms"),
        ("time_to_first_token", 1.5, "1.50 s"),
        ("anonymous_peak", 1023, "1023 B"),
        ("anonymous_peak", 512 << 20, "512.0 MiB"),
        ("anonymous_peak", 3 << 29, "1.50 GiB"),
        ("parameters", 3075000000, "3.075 billion"),
        ("parameters", 134515008, "134.5 million"),
        ("largest_context", 32768, "32,768 tokens"),
        ("tool_call_accuracy", 0.125, "12.5%"),
        ("decode_ratio", 0.4567, "0.457 times"),
        ("open_weights", True, "yes"),
        ("open_weights", False, "no"),
        ("licence", "apache-2.0", "apache-2.0"),
    ],
)
def test_a_value_is_shown_with_its_unit(name: str, value: float | str, shown: str) -> None:
    assert METRICS[name].show(value) == shown
