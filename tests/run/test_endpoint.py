"""Where requests go, what a record says of it, and which addresses get none."""

from __future__ import annotations

import pytest

from harness.errors import MissingError, UserError
from harness.run.endpoint import BASE, KEY, from_environment

SECRET = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("base", "place"),
    [
        ("http://127.0.0.1:8080/v1", "loopback"),
        ("http://localhost:11434/v1/", "loopback"),
        ("http://[::1]:8080/v1", "loopback"),
        ("https://api.mistral.ai/v1", "api.mistral.ai"),
        ("https://ours.services.ai.azure.com/openai/v1", "services.ai.azure.com"),
        ("https://evilapi.mistral.ai/v1", "another host"),
        ("https://api.mistral.ai.example.org/v1", "another host"),
        ("http://192.168.1.7:8080/v1", "another host"),
        ("https://gpu-box.ours.example/v1", "another host"),
    ],
)
def test_a_record_names_no_host_but_a_public_one(base: str, place: str) -> None:
    found = from_environment({BASE: base})
    assert found.place(["api.mistral.ai", "services.ai.azure.com"]) == place


@pytest.mark.parametrize(
    ("base", "key", "why"),
    [
        ("ftp://127.0.0.1/v1", "", "must begin with http"),
        ("127.0.0.1:8080/v1", "", "must begin with http"),
        ("http:///v1", "", "name a host"),
        ("http://127.0.0.1:port/v1", "", "no address"),
        ("https://me:word@127.0.0.1/v1", "", "no user"),
        ("https://127.0.0.1/v1?key=1", "", "no user, password or question"),
        ("http://api.example.org/v1", SECRET, "over https only"),
    ],
)
def test_what_is_no_address_to_send_to_is_refused(base: str, key: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as refused:
        from_environment({BASE: base, KEY: key})
    assert SECRET not in str(refused.value)
    assert "word" not in str(refused.value).replace("password", "")


def test_without_an_address_nothing_is_guessed() -> None:
    """A key alone is no wish to pay somebody."""
    with pytest.raises(MissingError, match=f"set {BASE}"):
        from_environment({KEY: SECRET})


def test_a_key_is_not_shown() -> None:
    assert SECRET not in repr(from_environment({BASE: "https://a.example/v1", KEY: SECRET}))
