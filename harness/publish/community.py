"""What repetitions on other machines add up to, in a reader's words."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.reproductions import Reproduction, spread


def sentence(found: Sequence[Reproduction]) -> str | None:
    """How many machines and how many repetitions agree; None for none."""
    if not found:
        return None
    machines = {one.machine.id for one in found}
    compared = [one for one in found if one.answer != "not_comparable"]
    agree = sum(1 for one in compared if one.answer == "reproduced")
    told = f"Repeated on {len(machines)} machine{'s' if len(machines) > 1 else ''}"
    if {one.of.machine for one in found} & machines:
        told += ", the one that measured first" + (" among them" if len(machines) > 1 else "")
    told += f": {agree} of {len(compared)} agree" if compared else ": none compares"
    if len(compared) < len(found) and compared:
        told += f", {len(found) - len(compared)} more can’t be compared"
    return f"{told}."


def of_claim(found: Sequence[Reproduction]) -> str | None:
    """The same for one claim, with how far its figures lie apart."""
    told, span = sentence(found), spread(found)
    if told and span:
        ends = f"{span[0]:.3f}" if span[0] == span[1] else f"{span[0]:.3f} to {span[1]:.3f}"
        told += f" Figures {ends} times the first."
    return told
