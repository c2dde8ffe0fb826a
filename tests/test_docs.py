"""The documentation is true: the reference is generated, the guide's commands run."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

from harness.ask.claims import Claim
from harness.ask.models import Artifact
from harness.check import schema
from harness.cli import COMMANDS, main
from harness.judge.verdicts import Outcome

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
# These measure for minutes; what they do is tested with smaller cells elsewhere.
LONG = ("verify", "run")


def _commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("harness ")]


def test_reference_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    generated = runpy.run_path(str(ROOT / "scripts" / "reference"))["reference"]()
    assert written == generated, "stale: run scripts/reference"


def test_schemas_are_what_the_code_says() -> None:
    for name in schema.RECORDS:
        written = (ROOT / "docs" / "schema" / f"{name}.schema.json").read_bytes()
        assert written == schema.document(name), "stale: run scripts/reference"


def test_every_figure_of_the_table_follows_from_stored_runs() -> None:
    """Of the machines that it names: a reader's own runs are beside them."""
    script = runpy.run_path(str(ROOT / "scripts" / "measured"))
    written = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    machines = script["named"](written)
    assert machines
    assert written == script["measured"](machines), "stale: run scripts/measured"


@pytest.mark.parametrize("command", _commands())
def test_each_command_of_the_guide_is_understood(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = shlex.split(command)[1]
    assert name in COMMANDS
    if name in LONG:
        from importlib import import_module

        module = import_module(f"harness.commands.{name}")
        monkeypatch.setattr(module, "run", lambda options: 0)
    elif name in ("judge", "publish", "show", "reproduce"):
        return  # test_guide_from_records runs these in a folder of their own
    assert main(shlex.split(command)[1:]) in (0, 3)  # doctor: 3 where something is missing


def test_guides_claim_is_a_claim() -> None:
    block = re.search(r"```yaml\n(.*?)```", GUIDE, re.S)
    assert block
    claim = Claim.model_validate(yaml.safe_load(block[1])[0])
    assert claim.rule


def test_guides_artifact_is_an_artifact() -> None:
    block = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)[1]
    assert Artifact.model_validate(yaml.safe_load(block)[0]).weights == "real"


def test_every_outcome_is_explained() -> None:
    for outcome in Outcome.__args__:  # type: ignore[attr-defined]
        assert f"`{outcome}`" in CONCEPTS


def test_links_between_documents_hold() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} -> {target}"


def test_readme_opens_with_the_two_commands() -> None:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert block
    commands = [line.split()[0] for line in block[1].splitlines()]
    assert commands == ["scripts/run", "scripts/test"]
    for command in commands:
        assert (ROOT / command).stat().st_mode & 0o100
