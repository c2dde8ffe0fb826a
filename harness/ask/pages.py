"""Comparison pages: their own words, whole and verbatim, with the structure a reader sees."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness import home
from harness.ask import yaml_file
from harness.ask.models import Sha256
from harness.ask.yaml_file import Row
from harness.errors import BadFile, UnknownName


class Panel(Row):
    """A panel score as printed, for instance `75%`."""

    printed: str
    label: str


class Tool(Row):
    """One of the two products side by side."""

    name: str
    category: str
    tagline: str
    panel: Panel
    community: str
    community_label: str
    price: str
    price_label: str
    description: str


class Review(Row):
    """One reviewer's words on one tool.

    `stance` is what the text itself says: `ship` or `skip`, else null. `stance_words` quotes it.
    """

    reviewer: str
    tool: str
    text: str
    stance: Literal["ship", "skip"] | None
    stance_words: str | None


class Page(Row):
    """A page. `own` marks a page that this project wrote about itself."""

    id: str
    title: str
    kicker: str
    question: str
    tools: list[Tool] = Field(min_length=1)
    scorecard: str
    reviews: list[Review] = []
    footer: list[str] = []
    source: str
    text_sha256: Sha256 | None
    own: bool = False

    def text(self) -> str:
        """The page as plain text, line by line in the order of the original."""
        lines = [self.kicker, self.title, self.question]
        for tool in self.tools:
            lines += [tool.category, tool.name, tool.tagline, tool.panel.printed, tool.panel.label]
            lines += [tool.community, tool.community_label, tool.price, tool.price_label]
            lines.append(tool.description)
        lines.append(self.scorecard)
        lines += [f"“{review.text}”" for review in self.reviews]
        return "\n".join(line for line in lines + self.footer if line)

    def is_verbatim(self) -> bool | None:
        """Whether the text is the one that was found; None where no digest of it is kept."""
        if self.text_sha256 is None:
            return None
        return hashlib.sha256(self.text().encode()).hexdigest() == self.text_sha256


def load(folder: Path | None = None) -> dict[str, Page]:
    """All pages by id. Raises BadFile."""
    pages: dict[str, Page] = {}
    for path in sorted((folder or home.root() / "pages").glob("*.yaml")):
        page = yaml_file.read(path, Page)
        if page.id in pages:
            raise BadFile(f"{path}: id: '{page.id}' is taken by another page")
        if page.is_verbatim() is False:
            raise BadFile(f"{path}: text_sha256: the text is not the one that was found")
        pages[page.id] = page
    return pages


def find(pages: dict[str, Page], name: str) -> Page:
    """The page with this id. Raises UnknownName."""
    if name not in pages:
        raise UnknownName("page", name, pages)
    return pages[name]
