"""How templates become bytes: everything that is filled in is escaped text."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.publish import words

_FOLDER = Path(__file__).parent / "templates"
_CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}


def environment() -> jinja2.Environment:
    """The templates of pages and fragments. A name that is not filled in is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= styled(text("style.css"))
    env.globals["outcomes"] = list(words.OUTCOMES.values())
    env.globals["memory"] = words.memory
    env.globals["drawn"] = {}  # the place of a run's curves, by the name of its record
    return env


def text(name: str) -> str:
    """A template as it is."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def styled(style: str) -> dict[str, object]:
    """A page's style, and the digest by which its policy lets this style in and no other."""
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {"style": Markup(style), "style_hash": digest}


def render(templates: jinja2.Environment, name: str, **names: object) -> bytes:
    """One page. What UTF-8 cannot hold shows as its escape."""
    return templates.get_template(name).render(**names).encode("utf-8", "backslashreplace")


def _visible(value: object) -> object:
    """Control characters as their symbols: HTML has no way to hold them."""
    return value.translate(_CONTROL) if type(value) is str else value
