"""One claim's evidence as a piece of HTML for other people's pages, and as an entry of their JSON.

Static: no script, every class and id begins with `claimbench-`, every word escaped, ASCII alone, so
that a page of any encoding can hold it. A page whose policy refuses our style still reads the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.errors import UserError
from harness.publish import template
from harness.publish.attach.recognise import Recognised
from harness.publish.view import ClaimView

STYLE = "fragment.css"


def base_of(text: str) -> str:
    """`text` as what links begin with. Raises UserError for what is no web address and no path."""
    scheme, colon, _ = text.partition(":")
    if colon and "/" not in scheme and scheme.lower() not in ("http", "https"):
        raise UserError(f"--base {text}: give an http address or a relative path")
    return text if not text or text.endswith("/") else f"{text}/"


class Fragments:
    """The fragments of judged claims, with links that begin with `base`."""

    def __init__(self, views: Iterable[ClaimView], base: str = "") -> None:
        self._views = {view.claim.id: view for view in views}
        self._base = base
        self._macros = template.environment().get_template("fragment.html").module

    @property
    def known(self) -> Sequence[str]:
        return list(self._views)

    @property
    def style(self) -> str:
        """The element that styles all of them."""
        return f"<style>{template.text(STYLE)}</style>"

    def badge(self, claim: str) -> str:
        """The verdict in a word, linked to the evidence on the same page."""
        return self._made("badge", self._views[claim])

    def block(self, claim: str) -> str:
        """The whole evidence."""
        return self._made("block", self._views[claim], self._base)

    def section(self, claims: Sequence[str], left: Sequence[str]) -> str:
        """The evidence on `claims`, and what was left without any."""
        return self._made("section", [self._views[one] for one in claims], left, self._base)

    def entry(self, claim: str, at: str) -> dict[str, object]:
        """The same for a page in JSON. `at`: a JSON pointer from the object that holds this."""
        view = self._views[claim]
        findings = [
            {
                "machine": one.machine,
                "outcome": one.outcome.name,
                "figure": one.figure,
                "spread": one.spread,
                "synthetic": one.synthetic is not None,
                "day": one.iso_day,
            }
            for one in view.findings
        ]
        return {
            "by": "claimbench",
            "claim": claim,
            "at": at,
            "outcome": view.outcome.name,
            "reason": view.reason,
            "metric": view.metric,
            "findings": findings,
            "verdict": self._base + view.record,
            "page": f"{self._base}{view.file}#{view.anchor}",
        }

    def left(self, found: Recognised) -> list[tuple[int, str]]:
        """In words, with the place or 0: quotes with another word, quotes of nobody knows what."""
        told = []
        for one in found.changed:
            quote, here = self._views[one.claim].short, f"“{one.here}” for “{one.quoted}”"
            if not one.here:
                here = f"“{one.quoted}” is missing"
            elif not one.quoted:
                here = f"“{one.here}” is added"
            told.append((one.end, f"not the words of claim {one.claim}, “{quote}”: {here}"))
        for group in found.unclear:
            quote = self._views[group[0]].short
            told.append((0, f"“{quote}” is there, and may be {' or '.join(group)}: mark the place"))
        return told

    def files(self) -> dict[str, bytes]:
        """Each block as a file, and the style for all, by name below the site."""
        style = {"fragments/claimbench.css": template.text(STYLE).encode()}
        blocks = {f"fragments/{one}.html": f"{self.block(one)}\n".encode() for one in self._views}
        return style | blocks

    def _made(self, macro: str, *values: object) -> str:
        made = str(getattr(self._macros, macro)(*values)).strip()
        return made.encode("ascii", "xmlcharrefreplace").decode("ascii")
