"""What our own code costs, tracked with pytest-benchmark: never beside a timed sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.ask import claims, models
from harness.judge import judge

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.alone


def test_reading_every_claim(benchmark: BenchmarkFixture) -> None:
    found = benchmark(claims.load, ROOT / "claims")
    assert len(found) >= 50


def test_judging_the_results_of_this_repository(benchmark: BenchmarkFixture) -> None:
    """A reviewer who edits a rule sees its verdict at once."""
    asked, known = claims.load(ROOT / "claims"), models.load(ROOT / "models.yaml")
    verdicts = benchmark.pedantic(
        lambda: judge.judge(ROOT / "results", asked.values(), known), rounds=5, warmup_rounds=1
    )
    assert sum(1 for verdict in verdicts if verdict.findings) >= 10
    assert benchmark.stats.stats.median < 3.0
