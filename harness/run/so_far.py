"""What is known of a task under way: how quick it is, and what its answers are worth so far.

The interval holds at every look at once, so it may be watched, and a look may end the run. Such a
run has fewer items than were planned and decides nothing: see `harness.run.job`. Of items that come
in groups the first of each counts, for the others are not independent of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.run.records import ItemData, Sample
from harness.statistics import Estimate, at_any_time


class SoFar:
    """Grows with each sample of one run."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._samples, self._seconds = 0, 0.0
        self._groups, self._worth, self._counted = set[str](), 0.0, 0
        for sample in samples:
            self.add(sample)

    def add(self, sample: Sample) -> None:
        self._samples += 1
        self._seconds += sample.seconds
        data = sample.data
        if isinstance(data, ItemData) and data.group not in self._groups:
            self._worth += data.value
            self._counted += 1
            if data.group is not None:
                self._groups.add(data.group)

    def share(self) -> Estimate | None:
        """What the answers are worth in the mean; None before the first."""
        return at_any_time(self._worth, self._counted)

    def told(self, planned: int) -> str:
        """In a few words, with the time that the other items take if they are like these."""
        words = []
        if self._samples and self._seconds:
            rate = self._samples / self._seconds
            left = max(0, planned - self._samples) / rate
            words.append(f"{rate:.2g} items/s, {_time(left)} left")
        if share := self.share():
            words.append(
                f"{share.value:.0%} so far ({share.low:.0%} to {share.high:.0%} at any look)"
            )
        return ", ".join(words)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
