"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine that runs the tests may be busy. For Hypothesis an example that took 200 ms failed,
# and a strategy is too slow whose first few took a second: both happen to any process that waits.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
