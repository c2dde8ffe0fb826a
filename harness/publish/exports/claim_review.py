"""schema.org ClaimReview as JSON-LD, for the page that shows the verdict.

One per verdict that says something; none for a page that this project wrote itself, for nobody
reviews his own claims. JSON-LD is data: browsers run none of it, under any policy.
"""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from harness.ask.pages import Page
from harness.judge.verdicts import Outcome, Verdict
from harness.publish.words import OUTCOMES

_RATINGS: dict[Outcome, int | None] = {"supported": 5, "refuted": 1, "inconclusive": None}
"""Inconclusive has no number: 3 of 5 would say "half true"."""


def reviews(page: Page, verdicts: list[Verdict], file: str) -> list[dict[str, Any]]:
    """The reviews of a page's claims whose evidence is in `file` of the site."""
    if page.own:
        return []
    return [_review(page, one, file) for one in verdicts if one.outcome in _RATINGS]


def script(page: Page, verdicts: list[Verdict], file: str) -> Markup | None:
    """The element that carries them. Nothing in a quote can end it: no `<` is left."""
    found = reviews(page, verdicts, file)
    if not found:
        return None
    text = json.dumps({"@context": "https://schema.org", "@graph": found})
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/ld+json">{text}</script>')


def _review(page: Page, verdict: Verdict, file: str) -> dict[str, Any]:
    claim = verdict.claim
    rating: dict[str, Any] = {
        "@type": "Rating",
        "alternateName": OUTCOMES[verdict.outcome].word,
        "ratingExplanation": verdict.reason,
    }
    number = _RATINGS[verdict.outcome]
    if number is not None:
        rating |= {"ratingValue": number, "bestRating": 5, "worstRating": 1}
    days = [finding.measured for finding in verdict.findings if finding.measured]
    return {
        "@type": "ClaimReview",
        "url": f"{file}#claim-{claim.id}",
        "claimReviewed": claim.quote,
        **({"datePublished": max(days)} if days else {}),
        "author": {"@type": "Organization", "name": "claimbench"},
        "itemReviewed": {
            "@type": "Claim",
            "author": {"@type": "Person", "name": claim.who},
            "appearance": {"@type": "CreativeWork", "name": page.title},
        },
        "reviewRating": rating,
    }
