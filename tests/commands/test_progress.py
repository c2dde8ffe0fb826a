"""What is said of the time left where stderr is no terminal."""

from __future__ import annotations

import pytest

from harness.commands import progress


def test_the_time_left_is_at_the_pace_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planned: four minutes, one for each sample. The first took three."""
    clock = iter([100.0, 280.0, 340.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress(240.0) as say:
        say("first", 60.0)
        say("second", 180.0)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "  first  (in all about 9 min left)"
    assert second == "  second  (in all about 0 min left)"
