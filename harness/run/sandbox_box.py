"""Runs one program from stdin in a box of its own; started by harness.run.sandbox alone.

Only the standard library, so that it starts as a bare script. Linux namespaces make the box: no
network device that is up, processes that see no others, a small file system in memory with Python
and the system's libraries in it, read-only. Whoever is root outside becomes nobody in it; nobody
keeps a capability or can gain one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import NoReturn

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
)  # fmt: skip
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 1, 22, 24, 38
_CAPABILITIES = 64
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    """Arguments: seconds, bytes of memory, bytes of files. Exits as the program does."""
    seconds, memory, files = map(int, sys.argv[1:4])
    _do(_libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    root = os.geteuid() == 0
    user, group = os.geteuid(), os.getegid()
    spaces = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    _do(_libc.unshare(spaces if root else spaces | _NEWUSER))
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    child = os.fork()
    if child:  # the first process of the new process namespace: all others end with it
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(seconds)
        _, status = os.waitpid(child, 0)
        os._exit(min(255, abs(os.waitstatus_to_exitcode(status))))
    _do(_libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    os.setsid()  # a signal to its group would reach those outside
    _new_root(files)
    _limit(seconds, memory, files)
    _drop(root)
    _forbid()
    python = sys.executable
    os.execve(python, [python, "-I", "-S", "-B", "-"], {"PATH": "/nowhere"})


def _new_root(files: int) -> None:
    """A file system in memory, with Python and the system's libraries, and nothing else."""
    new = Path("/tmp")
    _mount(None, "/", None, _REC | _PRIVATE)
    shown = dict.fromkeys(Path(one) for one in ("/usr", "/lib", "/lib64", sys.base_prefix))
    opened = [(path, os.open(path, os.O_PATH)) for path in shown if path.exists()]
    _mount("tmpfs", str(new), "tmpfs", _NOSUID | _NODEV, f"size={files},mode=777")
    for path, descriptor in opened:
        place = new / path.relative_to("/")
        if path.is_symlink():
            place.symlink_to(path.readlink())
        elif not any(path.is_relative_to(other) for other, _ in opened if other != path):
            place.mkdir(parents=True)
            _mount(f"/proc/self/fd/{descriptor}", str(place), None, _BIND | _REC)
            again = _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV
            _mount(None, str(place), None, again)
        os.close(descriptor)
    os.chdir(new)
    _do(_libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."))
    _do(_libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")


_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    # socket, ptrace, mount, add_key, request_key, keyctl, unshare, perf_event_open,
    # open_by_handle_at, setns, process_vm_writev, bpf, userfaultfd, io_uring_setup
    "x86_64": (41, 101, 165, 248, 249, 250, 272, 298, 304, 308, 311, 321, 323, 425),
    "aarch64": (198, 117, 40, 217, 218, 219, 97, 241, 265, 268, 271, 280, 282, 425),
}
"""Calls that no exercise needs, and by which programs have got out of boxes."""


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_char_p)]


def _forbid() -> None:
    """By seccomp: another architecture's call ends the program, a forbidden one is refused."""
    machine = os.uname().machine
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    kill, allow, refuse = 0x80000000, 0x7FFF0000, 0x00050001
    calls = _FORBIDDEN[machine]
    rules = [(load, 0, 0, 4), (equal, 1, 0, _ARCHITECTURE[machine]), (answer, 0, 0, kill)]
    rules += [(load, 0, 0, 0), (at_least, 0, 1, 0x40000000), (answer, 0, 0, kill)]
    rules += [(equal, len(calls) - at, 0, call) for at, call in enumerate(calls)]
    rules += [(answer, 0, 0, allow), (answer, 0, 0, refuse)]
    raw = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    _do(_libc.prctl(_SET_SECCOMP, 2, ctypes.byref(_Filter(len(rules), raw)), 0, 0))


def _limit(seconds: int, memory: int, files: int) -> None:
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, files),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (most, most))


def _drop(root: bool) -> None:
    """Every capability, and every way to gain one. Root outside must not be root inside."""
    for one in range(_CAPABILITIES):
        _libc.prctl(_CAPBSET_DROP, one, 0, 0, 0)  # those that this kernel does not know fail
    if root:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _do(_libc.capset(header, (ctypes.c_uint32 * 6)()))
    _do(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _do(_libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))  # setresuid cleared it


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    texts = [None if one is None else one.encode() for one in (source, target, kind)]
    _do(_libc.mount(*texts, ctypes.c_ulong(flags), None if data is None else data.encode()))


def _do(status: int) -> None:
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
