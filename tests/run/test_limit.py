"""Caps for real: a cgroup v1 memory group where we may make one, and RLIMIT_DATA.

The machine that these tests were written on has no cgroup v2 memory controller: of v2 only the
way to the group is tested, on a tree of plain files.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from workers import PATIENCE, SETTINGS, fake, outcome, real

from harness.run import limit
from harness.run.limit import Cap, cap
from harness.run.manager import Worker
from harness.run.records import Limit

MIB = 1 << 20
ROOM = 256  # MiB


def v1(mebibytes: int) -> Cap:
    """A cgroup v1 cap, where this machine lets us have one."""
    found = cap(mebibytes * MIB)
    if found.method != "cgroup v1":
        pytest.skip(f"needs a cgroup v1 memory group to write to; this machine has {found.method}")
    return found


def rlimit(mebibytes: int) -> Cap:
    return Cap(mebibytes * MIB)


Make = Callable[[int], Cap]
CAPS = pytest.mark.parametrize("make", [v1, rlimit])


@CAPS
def test_a_worker_over_the_cap_ends_out_of_memory_and_the_method_is_recorded(make: Make) -> None:
    worker = Worker(fake("allocates", limit=2 * ROOM), PATIENCE, watched=True, cap=make(ROOM))
    said, error = outcome(worker)
    assert said == []
    assert error and error.cause == "out_of_memory"
    assert worker.cap and worker.cap.method in error.detail
    assert Limit.model_validate(worker.cap.record()).bytes == ROOM * MIB


@CAPS
def test_a_worker_under_the_cap_ends_well(make: Make) -> None:
    worker = Worker(fake("allocates", limit=ROOM // 2), PATIENCE, cap=make(ROOM))
    said, error = outcome(worker)
    assert error is None
    assert said[0]["mebibytes"] == ROOM // 2


@CAPS
def test_another_end_under_a_cap_keeps_its_own_cause(make: Make) -> None:
    _, error = outcome(Worker(fake("aborts"), PATIENCE, cap=make(ROOM)))
    assert error and error.cause == "crashed"


@CAPS
def test_a_real_model_that_does_not_fit_is_out_of_memory(make: Make, smollm2: Path) -> None:
    """The KV cache of 8,192 tokens takes 180 MiB. How far the worker came is kept."""
    request = real("memory", smollm2, settings=replace(SETTINGS, context=8192))
    worker = Worker(request, PATIENCE, watched=True, cap=make(150))
    _, error = outcome(worker)
    assert error and error.cause == "out_of_memory"
    assert [phase["name"] for phase in worker.phases][:2] == ["import", "load"]


@pytest.mark.parametrize("mebibytes", [8, 16, 50, 90])
def test_a_runtime_without_room_to_start_is_out_of_memory(mebibytes: int, smollm2: Path) -> None:
    """Without room Python, OpenBLAS and the loader each complain in words of their own."""
    _, error = outcome(Worker(real("memory", smollm2), PATIENCE, True, rlimit(mebibytes)))
    assert error and error.cause == "out_of_memory"


def test_only_a_cgroup_counts_its_kills() -> None:
    group, data = v1(ROOM), rlimit(ROOM)
    for one in (group, data):
        outcome(Worker(fake("allocates", limit=2 * ROOM), PATIENCE, watched=True, cap=one))
    assert (group.hit, data.hit) == (True, None)
    outcome(Worker(fake("answers"), PATIENCE, cap=(fine := v1(ROOM))))
    assert fine.hit is False


def test_a_group_is_gone_after_its_worker() -> None:
    one = v1(ROOM)
    outcome(Worker(fake("allocates", limit=2 * ROOM), PATIENCE, watched=True, cap=one))
    assert not list(parent(one).glob(f"claimbench-{os.getpid()}-*"))


def test_groups_of_dead_harnesses_are_removed_and_those_of_living_ones_kept() -> None:
    one = v1(ROOM)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = parent(one) / f"claimbench-{dead.pid}-feedfeedfeed"
    living = parent(one) / f"claimbench-{os.getppid()}-feedfeedfeed"
    stale.mkdir()
    living.mkdir()
    try:
        outcome(Worker(fake("answers"), PATIENCE, cap=one))
        assert not stale.exists()
        assert living.exists()
    finally:
        living.rmdir()


def parent(group: Cap) -> Path:
    return group._group.parent  # type: ignore[attr-defined]


def test_rlimit_data_is_what_the_worker_really_runs_under() -> None:
    read = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA))"
    command = Cap(ROOM * MIB).command([sys.executable, "-c", read])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str((ROOM * MIB, ROOM * MIB))
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != ROOM * MIB


def test_without_any_group_the_cap_is_rlimit_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "_writable_v2", lambda own: None)
    monkeypatch.setattr(limit, "_writable_v1", lambda own: None)
    assert cap(MIB).method == "RLIMIT_DATA"
    assert "anonymous" in cap(MIB).record()["covers"]


# The way to a group, on a tree of plain files.


def group(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def test_v2_takes_the_nearest_group_that_hands_memory_on(tmp_path: Path) -> None:
    group(tmp_path, cgroup__subtree_control="cpu memory pids\n")
    slice_ = group(tmp_path / "user.slice", cgroup__subtree_control="cpu memory\n")
    group(slice_ / "app.scope", cgroup__subtree_control="\n")
    own = "0::/user.slice/app.scope\n"
    assert limit._writable_v2(own, tmp_path) == slice_


def test_v2_never_looks_above_the_root(tmp_path: Path) -> None:
    group(tmp_path, cgroup__subtree_control="memory\n")
    root = group(tmp_path / "mount" / "here", cgroup__subtree_control="cpu\n").parent
    assert limit._writable_v2("0::/here\n", root) is None


def test_a_hybrid_machine_without_memory_in_v2_takes_v1(tmp_path: Path) -> None:
    """Both in /proc/self/cgroup: v2 is mounted beside v1 and holds no memory controller."""
    own = "4:memory:/ours\n0::/\n"
    ours = group(tmp_path / "memory" / "ours", memory__limit_in_bytes="1")
    assert limit._writable_v2(own, tmp_path) is None
    assert limit._writable_v1(own, tmp_path) == ours


def test_v1_in_a_container_falls_back_to_the_root_of_the_hierarchy(tmp_path: Path) -> None:
    root = group(tmp_path / "memory", memory__limit_in_bytes="1")
    assert limit._writable_v1("7:cpu,memory:/docker/0123\n", tmp_path) == root


@pytest.mark.parametrize("own", ["", "3:cpu:/\n", "0::/\n", "4:hugetlb_memory:/\n"])
def test_no_group_is_found_where_there_is_none(own: str, tmp_path: Path) -> None:
    assert limit._writable_v1(own, tmp_path) is None
    assert limit._writable_v2(own, tmp_path) is None


def test_a_v2_group_is_written_as_the_kernel_wants_it(tmp_path: Path) -> None:
    """On plain files: what would go to the kernel. The kernel's own part can't be had here."""
    capped = limit._V2(3 * MIB, tmp_path)
    (tmp_path / "memory.events").write_text("")
    with capped:
        here = next(tmp_path.glob("claimbench-*"))
        (here / "memory.events").write_text("low 0\noom 2\noom_kill 1\noom_group_kill 0\n")
        assert f"echo $$ > '{here}/cgroup.procs'" in " ".join(capped.command(["true"]))
        (here / "memory.events").rename(tmp_path / "seen")
        (here / "memory.events").symlink_to(tmp_path / "seen")
    assert capped.hit is True
    assert capped.limits == {"memory.max": "{limit}", "memory.swap.max": "0"}


def test_a_model_runs_under_a_cap_that_holds_it(smollm2: Path) -> None:
    worker = Worker(real("memory", smollm2), PATIENCE, True, v1(512))
    said, error = outcome(worker)
    assert error is None
    assert said[0]["kind"] == "memory"
