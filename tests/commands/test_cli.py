"""The command line as a whole: light, honest in its exit status, no traceback for users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from checkouts import ROOT, Say, fresh, harness

from harness import cli, home
from harness.errors import UserError

HEAVY = {
    "altair",
    "jinja2",
    "llama_cpp",
    "numpy",
    "onnxruntime",
    "pydantic",
    "rich",
    "scipy",
    "torch",
    "transformers",
    "vl_convert",
    "yaml",
}
LISTINGS = ("claims", "models", "tasks", "runs", "plan", "doctor", "judge")


def imported(*words: str) -> set[str]:
    """The packages that are in memory when the command ends."""
    code = (
        "import sys, contextlib, io\n"
        "from harness import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    cli.main({list(words)})\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def cpu_seconds(*words: str) -> float:
    """User and system time of the quickest of five."""
    times = []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *words], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(used.ru_utime + used.ru_stime)
    return min(times)


def test_help_loads_nothing_and_is_there_at_once() -> None:
    assert not imported("--help") & HEAVY
    assert cpu_seconds("--help") < 0.15


def test_the_list_of_claims_loads_no_runtime_and_no_mathematics() -> None:
    assert not imported("claims") & (HEAVY - {"pydantic", "yaml"})
    assert cpu_seconds("claims") < 0.6


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(
    name: str, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(name, "--help") == 0
    told = capsys.readouterr().out
    module = import_module(f"harness.commands.{name}")
    assert f"usage: harness {name}" in told
    assert module.__doc__ and module.__doc__.split()[0] in told


def test_help_names_every_command_and_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([])
    told = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"  {name} " in told for name in cli.COMMANDS)
    assert all(f"{status} " in told for status in (0, 1, 2, 3, 70, 130))


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_as_json_is_json(name: str, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    assert say(name, "--json") in (0, 3)
    rows = json.loads(capsys.readouterr().out)
    assert isinstance(rows, list) and rows
    assert say(name) in (0, 3)
    assert len(capsys.readouterr().out.splitlines()) > len(rows)  # a line each, and a header


def test_show_is_json(say: Say, verified: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next((verified / "results").glob("*/*panel*/run.json")).parent.name
    for name in ("002-19", "002-04-speed", "smollm3-3b", "bfcl_simple_python", run):
        assert say("show", name) == 0
        shown = json.loads(capsys.readouterr().out)
        assert name in (shown.get("id"), shown.get("name"), shown.get("claim", {}).get("id"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["plann"], "unknown command 'plann': did you mean plan"),
        (["claims", "007"], "unknown page or claim '007': did you mean 00"),
        (["plan", "002-4-speed"], "did you mean 002-04-speed"),
        (["plan", "--suite", "labtop"], "unknown suite 'labtop': did you mean laptop"),
        (["plan", "--runtime", "llamacpp"], r"unknown runtime 'llamacpp': did you mean llama.cpp"),
        (["plan", "--device", "cup"], "unknown device 'cup': did you mean cpu"),
        (["verify", "--fail-on", "refused"], "unknown --fail-on 'refused': did you mean refuted"),
        (["prepare", "smolm3"], "unknown model 'smolm3': did you mean smollm3-3b"),
        (["prepare", "smollm3-3b", "--quantisation", "Q4_2"], "did you mean Q4_0"),
        (["show", "smoke-rat"], "unknown claim, model, task or run 'smoke-rat': did you mean"),
        (["compare", "a", "b"], "unknown run 'a'"),
        (["run", "--model", "smollm3-3b", "--runtime", "x", "--workload", "sped"], "mean speed"),
        (["run", "--model", "SmolLM3", "--runtime", "llama", "--workload", "speed"], "llama.cpp"),
        (["run", "--model", "SmolLM2", "--runtime", "llama.cpp", "--task", "bfcl"], "bfcl_"),
        (
            ["run", "--model", "SmolLM2", "--runtime", "x", "--workload", "speed", "--limit", "0"],
            "--limit 0: at least one sample",
        ),
        (
            ["run", "--model=SmolLM2", "--runtime=x", "--workload=memory", "--memory-limit=4GB"],
            "--memory-limit 4GB: write it like 4GiB or 512MiB",
        ),
        (["plan", "--nonsense"], "unrecognized arguments: --nonsense"),
        (
            ["run", "--model=SmolLM2", "--runtime=x", "--workload=speed", "--context=4096"],
            "--context is for memory and tasks: speed and load take what they need",
        ),
        (
            ["run", "--model=SmolLM2", "--runtime=llama.cpp", "--task=needle", "--context=512"],
            "needle: the shortest text takes 1024 tokens, the context is 512",
        ),
        (
            ["run", "--model=SmolLM2", "--runtime=x", "--task=t", "--parallel=0"],
            "--parallel 0: of a task, and at least 1",
        ),
        (
            ["run", "--model=SmolLM2", "--runtime=x", "--workload=memory", "--parallel=2"],
            "--parallel 2: of a task, and at least 1",
        ),
        (
            [
                "run",
                "--model=SmolLM2",
                "--runtime=x",
                "--task=t",
                "--parallel=2",
                "--until-width=0.5",
            ],
            "--until-width looks at items in their order: leave out --parallel",
        ),
        (["run"], "the following arguments are required: --model, --runtime"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_a_users_mistake_is_2_and_says_what_to_write(
    words: list[str], told: str, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(*words) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("file", "wrong", "told"),
    [
        ("claims/002.yaml", "page: '002'\nclaims:\n- id: a\n  tol: x\n", ":4: claims.0.tol: "),
        ("claims/002.yaml", "page: [", ":2: "),
        ("models.yaml", "m:\n  name: 3\n", ":2: m.name: "),
        ("tasks/bfcl_simple_python.yaml", "title: a\ntitle: b\n", ":2: title: given twice"),
    ],
)
def test_a_broken_file_is_2_with_file_line_and_field(
    file: str,
    wrong: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (fresh(tmp_path / "checkout") / file).write_text(wrong)
    monkeypatch.chdir(tmp_path / "checkout")
    assert cli.main(["plan"]) == 2
    shown = capsys.readouterr().err
    assert f"{file}{told}" in shown
    assert "Traceback" not in shown


def test_what_is_missing_is_3_and_says_how_to_get_it(
    say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("prepare", "smollm2-135m-instruct", "--offline") == 3
    assert "harness prepare smollm2-135m-instruct" in capsys.readouterr().err


def test_a_bug_is_70_with_its_traceback(
    say: Say, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bug(_: object) -> int:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(import_module("harness.commands.tasks"), "run", bug)
    assert say("tasks") == 70
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "a bug of ours" in shown


def test_ctrl_c_is_130_without_a_traceback(
    say: Say, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("harness.commands.tasks"), "run", stop)
    assert say("tasks") == 130
    shown = capsys.readouterr().err
    assert "the same command goes on from here" in shown and "Traceback" not in shown


@pytest.mark.parametrize("words", [["claims"], ["claims", "--json"], ["tasks"], ["--help"]])
def test_a_reader_who_leaves_hears_no_complaint(words: list[str], verified: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = harness(verified, *words, stdout=writer, PYTHONUNBUFFERED="")
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_dashes_and_quotes_still_gets_the_list(verified: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = harness(verified, "claims", **plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout and len(done.stdout.splitlines()) > 50


class TestPlace:
    """Which checkout a command works on."""

    def test_the_one_around_the_current_folder(
        self, verified: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(verified / "claims")
        assert home.root() == verified

    def test_else_the_source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert home.root() == ROOT
        assert harness(tmp_path, "claims", "smoke-rate").returncode == 0

    def test_else_the_user_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(home, "__file__", str(tmp_path / "site-packages/harness/home.py"))
        with pytest.raises(UserError, match="run harness inside a checkout"):
            home.root()
        assert cli.main(["claims"]) == 2


def test_the_table_of_commands_is_the_folder_of_commands() -> None:
    folder = ROOT / "harness" / "commands"
    modules = {path.stem for path in folder.glob("*.py") if "def run(" in path.read_text()}
    assert modules == set(cli.COMMANDS)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


LOOKS = [["plan"], ["plan", "--suite", "full", "--json"], ["claims"], ["models"], ["tasks"]]
LOOKS += [["runs"], ["show", "smoke-rate"], ["show", "smollm3-3b"], ["doctor"]]


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_looking_leaves_no_trace(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = fresh(tmp_path / "checkout")
    monkeypatch.chdir(checkout)
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    before = tree(tmp_path)
    assert cli.main(words) in (0, 3)
    assert tree(tmp_path) == before


def test_looking_at_a_used_checkout_leaves_it_as_it_was(say: Say, verified: Path) -> None:
    before = tree(verified)
    for words in LOOKS:
        assert say(*words) in (0, 3)
    assert tree(verified) == before


def test_planning_without_room_says_so_before_anything_is_written(
    say: Say, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verified: Path
) -> None:
    free = shutil._ntuple_diskusage(0, 0, 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    before = tree(verified)
    assert say("plan", "002") == 3
    shown = capsys.readouterr()
    assert "not enough disk: " in shown.err and "0.00 GiB there" in shown.err
    assert shown.out == ""
    assert tree(verified) == before
