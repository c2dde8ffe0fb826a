"""How far two runtimes may be apart in the first token's log-probabilities, by precision.

The coarser of the two precisions decides. What is allowed is what their different order of adding
and rounding explains, not what quantisation costs: two files of 4 bits that were rounded apart are
two models. The figures stand about a factor of two above the largest differences seen over 200
questions with pictures (see results/), so that an error of layout, position or pixels, which moves
them by whole units, is seen, and rounding is not taken for one.
"""

from __future__ import annotations

import re

ALLOWED = {
    32: 0.01,  # sums of 24 bits of mantissa, in another order
    16: 0.1,  # each sum is rounded to 11 bits (fp16) or weights alone are; bf16 keeps 8
    8: 0.5,  # activations are rounded to 8 bits too, block by block, and not everywhere alike
    4: 2.0,  # the same, and one runtime's 4 bits are not another's
}
"""By the bits of a weight; natural logarithms."""

_BITS = re.compile(r"(?:fp|bf|f|q|int)(\d+)", re.IGNORECASE)


def allowed(*quantisations: str | None) -> float | None:
    """What rounding explains between runs at these; None where a name says no precision."""
    bits = [_bits(one) for one in quantisations]
    known = [one for one in bits if one is not None]
    return ALLOWED[min(known)] if known and len(known) == len(bits) else None


def _bits(quantisation: str | None) -> int | None:
    found = _BITS.match(quantisation or "")
    bits = int(found[1]) if found else None
    return bits if bits in ALLOWED else None
