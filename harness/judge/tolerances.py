"""How far two runtimes may be apart in the first token's log-probabilities, by precision.

Judged is the median over the items of the largest difference in each: an error of layout, position
or pixels moves them all, and by whole units; what a rounding does to one unlikely token of one item
does not decide. The coarser of the two precisions is taken. Where a largest median is given below,
it is of the stored runs of smoke-vlm on three runtimes, 200 questions about pictures; four to eight
times that is allowed, so that another model's rounding is not taken for an error. SmolLM2-135M's 4
bits, 200 questions answered in JSON, come to 0.16. The limits for fp32 and bf16 are set by the bits
alone: no two such runs are stored.
"""

from __future__ import annotations

import re

ALLOWED = {
    "fp32": 0.001,  # sums in another order
    "fp16": 0.01,  # 11 bits of mantissa, in the weights alone or in each sum as well: 0.0012
    "bf16": 0.1,  # 8 bits of mantissa
    "8 bits": 0.05,  # other scales, and activations are rounded too, not everywhere alike: 0.013
    "4 bits": 0.25,  # the same; one runtime's 4 bits are not another's: 0.06
}
"""Natural logarithms, from the finest precision to the coarsest."""

UNEXPLAINED = 0.01
"""The share of the items that may be answered by another first token where that is no tie.

A median does not see an error that a few items have. Held where both runs have the same weights.
"""

_NAMES = (
    (r"(fp|f)32", "fp32"),
    (r"(fp|f)16", "fp16"),
    (r"bf16", "bf16"),
    (r"(q|int)8(_.*)?|w8a16", "8 bits"),
    (r"(q|int|nf)4(_.*)?", "4 bits"),
)


def allowed(*quantisations: str | None) -> float | None:
    """What rounding explains between runs at these; None where a name says no known precision."""
    found = [_precision(one or "") for one in quantisations]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    return ALLOWED[max(known, key=list(ALLOWED).index)]


def same_weights(*quantisations: str | None) -> bool:
    """Whether only the order and the precision of sums set runs at these apart.

    One name is taken for the same weights, though int8 of two runtimes may have other scales.
    """
    whole = {"fp32", "fp16", "bf16"}
    return len(set(quantisations)) == 1 or {_precision(one or "") for one in quantisations} <= whole


def _precision(quantisation: str) -> str | None:
    for pattern, name in _NAMES:
        if re.fullmatch(pattern, quantisation, re.IGNORECASE):
            return name
    return None
