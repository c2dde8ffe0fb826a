"""Describes this machine by what matters to a measurement, and keeps what names its owner out."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import secrets
import socket
from pathlib import Path

from harness import home
from harness.run import store
from harness.run.records import Machine

_FEATURES = (
    "avx",
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "f16c",
    "fma",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
)

_PATH = re.compile(r"(?<![\w./<])(?!(?<=:)//)/+(?:[\w.+@~-]+/)*(?=[\w.+@~-])")
"""An absolute path up to its last part; neither the end of a tag nor what follows `https:`."""


def describe(results: Path, *, enrol: bool = True) -> Machine:
    """This machine. Its id is the processor, the size, and four digits drawn once per checkout.

    `enrol` draws them where there are none yet; without it, looking leaves no trace.
    Two checkouts on one computer count as two machines: nothing here could tell them apart
    without naming the computer.
    """
    info = _cpuinfo()
    cores, memory = physical_cores(), _memory_bytes()
    slug = re.sub(r"[^a-z0-9]+", "-", f"{_processor(info)} {cores}c {memory / 2**30:.0f}g".lower())
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return Machine(
        id=f"{slug.strip('-')}-{_token(results, enrol)}",
        processor=_processor(info),
        cores=cores,
        threads=os.cpu_count() or 1,
        features=[feature for feature in _FEATURES if feature in flags],
        memory_bytes=memory,
        system=platform.system(),
        kernel=platform.release(),
        virtual="hypervisor" in flags if flags else None,
        python=platform.python_version(),
        device_class="cpu",
    )


def scrub(text: str) -> str:
    """`text` without this machine's paths and names. For anything that will be published."""
    for folder, name in ((home.cache(), "CACHE"), (Path.home(), "HOME"), (Path.cwd(), "HERE")):
        if folder != folder.parent:  # a container's user may live in /
            text = text.replace(str(folder), name)
    text = _PATH.sub("", text.replace("file://", ""))
    host = socket.gethostname()
    for name in (host, host.partition(".")[0], _user()):
        if len(name) > 2:
            text = re.sub(rf"\b{re.escape(name)}\b", "NAME", text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


def _token(results: Path, enrol: bool) -> str:
    path = results / ".machine"
    if not path.exists():
        if not enrol:
            return "new"
        store.write_whole(path, json.dumps(secrets.token_hex(2)).encode())
    return str(json.loads(path.read_text()))


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; empty where there are none."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _processor(info: dict[str, str]) -> str:
    return info.get("model name") or platform.processor() or platform.machine()


def physical_cores() -> int:
    """Physical cores that this process may use; hyper-threads of one core count once."""
    info = _cpuinfo()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    siblings, cores = int(info.get("siblings", 1)), int(info.get("cpu cores", 1))
    return max(1, (allowed or 1) * cores // max(siblings, 1))


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
