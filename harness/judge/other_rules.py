"""Would a share of right items decide a claim otherwise if another harness had scored the items?

The records hold, item by item, what other rules say of the same answer. Where one of them would
change the outcome, the finding says so: the claim then rests on a choice of rule, not on the model.
"""

from __future__ import annotations

from harness.ask.claims import Rule
from harness.judge import estimates
from harness.judge.reading import Cells, Reading

_TOLD = {True: "would be supported", False: "would be refuted", None: "would stay open"}


def flips(rule: Rule, cells: Cells, reading: Reading) -> tuple[str, ...]:
    """One sentence for each rule under which the reading would decide otherwise.

    Items that another rule says nothing of stay as they are.
    """
    if not estimates.takes_values(rule.metric):
        return ()
    items = estimates.items_of(rule, cells[0][1])
    found = []
    for name in sorted({name for item in items for name in item.by_other_rules}):
        values = [item.by_other_rules.get(name, item.value) for item in items]
        other = estimates.of_share(rule, items, values)
        if other.holds is not reading.holds:
            told = f"{float(other.estimate):.3g}" if other.estimate is not None else "nothing"
            found.append(f"by the rule of {name} the share is {told}: it {_TOLD[other.holds]}")
    return tuple(found)
