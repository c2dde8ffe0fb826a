"""What runtimes do with logits outside the timed path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def likeliest(logits: NDArray[np.float32], top: int) -> list[tuple[int, float]]:
    """The `top` likeliest tokens and their log-probabilities, likeliest first.

    `logits`: of one position, over the vocabulary. Of equal ones the lower token comes first.
    """
    if not top:
        return []
    wide = logits.astype(np.float64)
    wide -= wide.max()
    wide -= np.log(np.exp(wide).sum())
    order = np.argsort(-wide, kind="stable")[:top]
    return [(int(token), float(wide[token])) for token in order]
