"""A claim's evidence for other people's pages: static, under our own names, with its links."""

from __future__ import annotations

import re

import publish_examples as examples
import pytest

from harness.errors import UserError
from harness.judge.verdicts import Verdict
from harness.publish.attach.fragments import base_of
from harness.publish.attach.tokens import tokens


def test_fragments_are_static_and_prefixed(verdicts: list[Verdict]) -> None:
    fragments = examples.fragments(verdicts, "https://example.org/")
    for one in verdicts:
        found = list(tokens(fragments.block(one.claim.id)))
        assert not {"script", "iframe", "form", "img", "link"} & {token.name for token in found}
        for token in found:
            attributes = token.attributes
            assert not any(key == "style" or key.startswith("on") for key in attributes)
            for name in (*attributes.get("class", "").split(), attributes.get("id", "")):
                assert not name or name.startswith("claimbench-")
            if "href" in attributes:
                assert attributes["href"].startswith("https://example.org/")
    block = fragments.block("quill-speed")
    assert '"https://example.org/verdicts/quill-speed.json"' in block
    assert "24.1 tokens/s" in block and "23.6 to 24.7 tokens/s (95% interval, n = 8 of 8)" in block
    assert "synthetic weights: valid for memory and speed" in fragments.block("ember-speed")
    classes = set(
        re.findall(
            r"\.([a-z][\w-]*)", re.sub(r"\{[^{}]*\}|/\*.*?\*/", "", fragments.style, flags=re.S)
        )
    )
    assert classes and all(name.startswith("claimbench-") for name in classes)


@pytest.mark.parametrize("base", ["javascript:alert(1)//", "data:text/html,", "file:x"])
def test_a_base_is_a_web_address_or_a_path(base: str) -> None:
    with pytest.raises(UserError, match="http address"):
        base_of(base)
    assert base_of("https://e.org/a") == "https://e.org/a/"
    assert (base_of(""), base_of("../a:b")) == ("", "../a:b/")
