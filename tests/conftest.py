"""What holds for all tests."""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

# The machine that runs the tests may be busy. For Hypothesis an example that took 200 ms failed,
# and a strategy is too slow whose first few took a second: both happen to any process that waits.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_collection_finish() -> None:
    """What is imported by now stays: no search for cycles has to go through it again and again."""
    gc.collect()
    gc.freeze()
