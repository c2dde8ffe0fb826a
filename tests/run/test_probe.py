"""A probe of a model on this machine: kept, unless others had the machine while it was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.commands import verify
from harness.commands.context import Context
from harness.plan.cells import Cell
from harness.run import noise, probe
from harness.run.session import Session

ROOT = Path(__file__).parents[2]
SPEED = Cell(
    workload="speed", model="smoke-vlm", quantisation="f16", runtime="llama.cpp", device="cpu"
)

QUIET = {
    "steal_share": 0.0,
    "cpu_pressure_share": 0.0,
    "memory_pressure_share": 0.0,
    "throttle_events": 0,
    "involuntary_switches": 0,
    "mean_mhz": None,
}


@pytest.fixture
def make_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Readies the smoke model in a checkout without results, and gives the probe that is kept."""
    pytest.importorskip("llama_cpp")
    for name in ("claims", "models", "models.yaml", "pages", "tasks"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)

    def ready() -> probe.Probe:
        context = Context()
        assert verify.ready(context, [context.planner().planned(SPEED, 1)], offline=True) == []
        (kept,) = probe.load(context.results).values()
        return kept

    return ready


def disturb(monkeypatch: pytest.MonkeyPatch, **shares: float | None) -> None:
    def between(*_: noise.Counters) -> dict[str, Any]:
        return QUIET | shares

    monkeypatch.setattr(noise, "between", between)


def test_a_quiet_probe_is_made_once(
    make_ready: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch)
    first = make_ready()
    assert first.quiet and first.measured
    assert first.prefill_rate > 0 and first.decode_rate > 0
    assert make_ready() == first


@pytest.mark.parametrize("shares", [{"cpu_pressure_share": 0.5}, {"steal_share": 0.2}])
def test_a_disturbed_one_is_kept_until_the_machine_is_quiet(
    make_ready: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, shares: dict[str, float]
) -> None:
    disturb(monkeypatch, **shares)
    assert not make_ready().quiet
    disturb(monkeypatch)
    quiet = make_ready()
    assert quiet.quiet
    disturb(monkeypatch, **shares)
    assert make_ready() == quiet


def test_a_machine_that_does_not_show_it_is_taken_for_quiet(
    make_ready: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disturb(monkeypatch, steal_share=None, cpu_pressure_share=None)
    assert make_ready().quiet


def test_what_is_finished_is_not_probed_again(
    make_ready: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another probe could give another shape, and so another run."""
    disturb(monkeypatch, cpu_pressure_share=0.5)
    disturbed = make_ready()
    monkeypatch.setattr(Session, "pending", lambda self, cells: [])
    disturb(monkeypatch)
    assert make_ready() == disturbed
