"""The sandbox against programs that attack, as this user and as one without rights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import MissingError
from harness.run import sandbox

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
CALL = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
HOSTILE = {
    "network": ("import socket\nsocket.create_connection(('1.1.1.1', 53), 2)", "PermissionError"),
    "datagram": ("import socket\nsocket.socket(type=socket.SOCK_DGRAM)", "PermissionError"),
    "fork bomb": ("import os\nwhile True:\n    os.fork()", "BlockingIOError"),
    "threads": ("import threading\nthreading.Thread(target=print).start()", "can't start"),
    "one long file": ("file = open('/x', 'wb')\nwhile True:\n    file.write(bytes(1 << 20))", "27"),
    "many files": (
        "for at in range(99):\n    with open(f'/{at}', 'wb') as file:\n"
        "        file.write(bytes(8 << 20))",
        "No space left",
    ),
    "endless words": ("while True:\n    print('x' * 4096)", "27"),
    "passwords": ("open('/etc/shadow').read()", "FileNotFoundError"),
    "processes": ("import os\nos.listdir('/proc')", "FileNotFoundError"),
    "this repository": (f"open({str(ROOT / 'README.md')!r})", "FileNotFoundError"),
    "libraries": ("open('/usr/bin/mine', 'w')", "OSError"),
    "kill everybody": ("import os\nos.kill(-1, 9)", "ProcessLookupError"),
    "10 GB": ("bytearray(10 << 30)", "MemoryError"),
    "new namespace": (
        CALL + "assert libc.unshare(0x10000000) == 0, os.strerror(ctypes.get_errno())",
        "not permitted",
    ),
    "mount": (
        CALL + "assert libc.mount(b'x', b'/usr', b'tmpfs', 0, None) == 0, "
        "os.strerror(ctypes.get_errno())",
        "not permitted",
    ),
    "another user": ("import os\nos.setuid(1)", "OSError|PermissionError"),
    "early end": ("import os\nos._exit(0)", "before its end"),
    "quiet end": ("raise SystemExit", "before its end"),
    "syntax": ("def", "SyntaxError"),
}
KILL_ALL = """import os
for pid in (os.getppid(), 0, -1, *range(2, 5000)):
    try:
        os.kill(pid, 9)
    except OSError:
        pass
"""
OUTLIVE = CALL + "libc.prctl(1, 0, 0, 0, 0)\nimport time\ntime.sleep(600)"


@pytest.fixture(autouse=True)
def possible() -> None:
    try:
        sandbox.check()
    except MissingError as error:
        pytest.skip(str(error))


def test_an_honest_program_passes() -> None:
    program = "import math, re, typing\nassert math.gcd(12, 18) == 6\nprint('words')"
    assert sandbox.run(program) == sandbox.Ended(True, "", "words\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_fails(name: str) -> None:
    program, reason = HOSTILE[name]
    ended = sandbox.run(program)
    assert not ended.passed
    assert re.search(reason, ended.reason), ended.reason


def test_what_is_seen_inside_is_little_and_nobodys() -> None:
    program = (
        "import os\nraise SystemExit(repr((sorted(os.listdir('/')), os.geteuid(), os.environ)))"
    )
    ended = sandbox.run(program)
    seen = ended.reason
    assert "etc" not in seen and "home" not in seen and "tmp" not in seen
    assert "PATH" in seen and "HOME" not in seen
    if os.geteuid() == 0:
        assert "65534" in seen


@pytest.mark.parametrize("program", ["while True: pass", OUTLIVE], ids=["loop", "outlive"])
def test_time_ends(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SECONDS", 1)
    before = children()
    assert "1 seconds" in sandbox.run(program).reason
    assert children() == before


def test_nobody_outside_is_killed() -> None:
    """Not even by a signal to the group, of which this process is one."""
    with subprocess.Popen(["sleep", "60"]) as bystander:
        sandbox.run(KILL_ALL)
        assert bystander.poll() is None
        bystander.kill()


def children() -> set[str]:
    """Processes that run the box's Python."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:5] == [b"-I", b"-S", b"-B", b"-"]:
            found.add(path.parent.name)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="this user is no other")
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="no Python that another user may run")
def test_a_user_without_rights_has_it_too() -> None:
    programs = [KILL_ALL + "assert False", *(program for program, _ in HOSTILE.values())]
    code = (
        "import json, sys\nfrom harness.run import sandbox\n"
        "programs = json.load(sys.stdin)\nsandbox.check()\n"
        "print(json.dumps([sandbox.run(one).passed for one in ['pass', *programs]]))"
    )
    box = Path(sandbox.__file__).with_name("sandbox_box.py")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    able = subprocess.run(["test", "-r", str(box)], **nobody)  # type: ignore[call-overload]
    if able.returncode:
        pytest.skip("another user cannot read this checkout")
    done = subprocess.run(
        [str(SYSTEM_PYTHON), "-c", code],
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "TMPDIR": "/tmp"},
        **nobody,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, *[False] * len(programs)]


def test_what_a_program_says_comes_out_if_it_passes() -> None:
    assert sandbox.run("print('a'); print('b', end='')").said == "a\nb"
    assert sandbox.run("print('a' * (2 << 20), end='')").said == "a" * ((1 << 20) - 32)
    assert sandbox.run("print('a')\nraise SystemExit").said == ""


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.check.cache_clear()
    monkeypatch.setattr(sandbox, "_run", lambda _: sandbox.Ended(False, "no namespaces"))
    with pytest.raises(MissingError, match="this machine has none \\(no namespaces\\)"):
        sandbox.run("pass")
    sandbox.check.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MissingError, match="not Linux"):
        sandbox.run("pass")
    sandbox.check.cache_clear()
