"""What verify would run: cells, downloads, disk, memory, estimated minutes. Changes nothing."""

from __future__ import annotations

import argparse

from harness.commands import listing
from harness.commands.context import Context, choice_arguments, chosen
from harness.plan.planner import Plan, Planned


def arguments(parser: argparse.ArgumentParser) -> None:
    choice_arguments(parser)
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    context = Context()
    plan = context.planner().plan(chosen(context, options))
    if options.json:
        listing.as_json([_row(planned) for planned in plan.cells])
        return 0
    listing.table(
        ("cell", "samples", "minutes", "memory", "claims"),
        [
            (
                planned.cell.name,
                planned.n,
                f"{planned.seconds / 60:.1f}",
                listing.size(planned.memory_bytes) if planned.memory_bytes else "-",
                " ".join(planned.claims),
            )
            for planned in plan.cells
        ],
    )
    print()
    _totals(plan)
    return 0


def _totals(plan: Plan) -> None:
    missing = {name: need for name, need in plan.needs.items() if not need.present}
    download = sum(need.download_bytes or 0 for need in missing.values())
    disk = sum(need.disk_bytes or 0 for need in missing.values())
    print(f"to prepare: {', '.join(missing) or 'nothing'}")
    print(f"download {listing.size(download)}, disk {listing.size(disk)} at most")
    for name, need in missing.items():
        if need.download_bytes is None:
            print(f"not counted: {name}, whose size only the hub can tell")
    print(f"about {plan.seconds / 60:.0f} minutes (an estimate)")
    for planned in plan.cells:
        if planned.problem:
            print(f"can't run here: {planned.cell.name}: {planned.problem}")


def _row(planned: Planned) -> dict[str, object]:
    needs = [need for need in (planned.need, planned.data) if need]
    return {
        "cell": planned.cell.model_dump(mode="json"),
        "samples": planned.n,
        "claims": list(planned.claims),
        "settings": vars(planned.settings) if planned.settings else None,
        "shape": vars(planned.shape) if planned.shape else None,
        "estimated_seconds": planned.seconds,
        "estimated_memory_bytes": planned.memory_bytes,
        "download_bytes": _sum([need.download_bytes for need in needs]),
        "disk_bytes": _sum([need.disk_bytes for need in needs]),
        "problem": planned.problem,
    }


def _sum(sizes: list[int | None]) -> int | None:
    """Unknown as soon as one of them is."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
