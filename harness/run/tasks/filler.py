"""Filler for long texts: plain sentences that say nothing of importance, drawn from a seed.

They hold no figure and none of the words that the facts between them are made of, so that an answer
never stands in them by chance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

_ADJECTIVES = (
    "old", "young", "quiet", "tall", "cheerful", "tired", "clever", "careful", "curious", "gentle",
    "proud", "patient", "lonely", "stubborn", "polite", "restless",
)  # fmt: skip
_PEOPLE = (
    "baker", "teacher", "sailor", "farmer", "tailor", "painter", "miller", "gardener", "weaver",
    "fiddler", "carpenter", "shepherd", "clockmaker", "librarian", "potter", "cook", "student",
    "neighbour", "traveller", "singer", "widow", "cobbler", "joiner", "poet",
)  # fmt: skip
_DEEDS = (
    "mended", "carried", "painted", "borrowed", "washed", "polished", "moved", "sold", "lost",
    "admired", "hid", "measured", "sketched", "repaired", "forgot", "noticed", "cleaned", "kept",
    "wrapped", "dropped", "praised", "counted", "lifted", "bought",
)  # fmt: skip
_THINGS = (
    "a wooden chair", "the heavy basket", "an iron kettle", "the torn curtain", "a pair of boots",
    "the broken ladder", "a jar of honey", "the wet blanket", "a bundle of letters", "a long rope",
    "a sack of flour", "the cracked mirror", "a paper lantern", "the rusty wheel", "the last loaf",
    "the narrow table", "a woollen coat", "the empty bottle", "a box of candles", "a garden bench",
    "a bowl of soup", "the little boat", "a map of the coast", "the cellar window",
)  # fmt: skip
_PLACES = (
    "near the harbour", "behind the mill", "at the edge of the forest", "beside the river",
    "on the market square", "under the wide bridge", "in the upper room", "along the stone wall",
    "by the orchard", "at the end of the lane", "in front of the inn", "across the meadow",
    "above the stable", "next to the well", "on the far shore", "inside the empty barn",
)  # fmt: skip
_TIMES = (
    "before the rain came", "late in the evening", "on a windy morning", "after the harvest",
    "while the bells rang", "during the first snow", "as the fog lifted", "at the end of summer",
    "when the guests had left", "soon after breakfast", "in the middle of the night",
    "on the way home", "once the fire was out", "just before the holidays",
)  # fmt: skip


def sentences(seed: str) -> Iterator[str]:
    """Sentences without end, the same from one seed on every machine. Some millions differ."""
    draw = random.Random(seed)
    while True:
        who, other = (f"the {draw.choice(_ADJECTIVES)} {draw.choice(_PEOPLE)}" for _ in range(2))
        did, thing = draw.choice(_DEEDS), draw.choice(_THINGS)
        where, when = draw.choice(_PLACES), draw.choice(_TIMES)
        said = draw.choice(
            (
                f"{who} {did} {thing} {where}",
                f"{when}, {who} {did} {thing}",
                f"{where}, {who} met {other}, who {did} {thing}",
                f"nobody knew why {who} {did} {thing} {when}",
                f"{who} told {other} that somebody {did} {thing} {where}",
                f"it was {who} who {did} {thing} {when}",
                f"{when}, {other} saw how {who} {did} {thing} {where}",
            )
        )
        yield f"{said[0].upper()}{said[1:]}."
