"""Would a share of right items decide a claim otherwise if another harness had scored the items?

The records hold, item by item, what other rules say of the same answer. Where one of them would
change the outcome, the finding says so: the claim then rests on a choice of rule, not on the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.ask.claims import Claim, Rule
from harness.judge import estimates
from harness.judge.estimates import Cells, Reading
from harness.run.records import ItemData, Sample

_TOLD = {True: "would be supported", False: "would be refuted", None: "would stay open"}


def flips(claim: Claim, rule: Rule, cells: Cells, reading: Reading) -> tuple[str, ...]:
    """One sentence for each rule under which the reading would decide otherwise."""
    if not estimates.takes_values(rule.metric):
        return ()
    answered = [
        sample.data
        for _, samples in cells
        for sample in samples
        if isinstance(sample.data, ItemData)
    ]
    names = {name for item in answered for name in item.by_other_rules}
    found = []
    for name in sorted(names):
        other = estimates.read(claim, rule, [(cell, _under(name, all_)) for cell, all_ in cells])
        if other.holds is not reading.holds:
            told = f"{float(other.estimate):.3g}" if other.estimate is not None else "nothing"
            found.append(f"by the rule of {name} the share is {told}: it {_TOLD[other.holds]}")
    return tuple(found)


def _under(name: str, samples: Sequence[Sample]) -> list[Sample]:
    """The samples as that rule scores them; items that it says nothing of stay as they are."""
    return [
        sample.model_copy(update={"data": _item(name, sample.data)})
        if isinstance(sample.data, ItemData)
        else sample
        for sample in samples
    ]


def _item(name: str, item: ItemData) -> ItemData:
    value = item.by_other_rules.get(name, item.value)
    partial = value if 0 < value < 1 else None
    return item.model_copy(update={"correct": value == 1, "partial": partial})
