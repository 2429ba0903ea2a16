"""Sealed text opens with its key only, and unchanged only."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runbookd.actions.failures import Rejected
from runbookd.actions.kubernetes.sealing import read_key, seal, unseal

KEY = base64.b64encode(b"k" * 32).decode()


def test_what_was_sealed_opens_again() -> None:
    """The same content gives the same envelope; other content another nonce."""
    key = read_key(KEY)
    envelope = seal(b"password", key, "export/shop/secrets.json")
    assert unseal(envelope, key) == b"password"
    assert envelope == seal(b"password", key, "export/shop/secrets.json")
    assert envelope["nonce"] != seal(b"passwore", key, "export/shop/secrets.json")["nonce"]
    assert "password" not in str(envelope)


def changed(envelope: dict[str, str], name: str) -> dict[str, Any]:
    """The envelope with one byte of a part turned."""
    if name == "about":
        return envelope | {"about": "export/other/secrets.json"}
    raw = bytearray(base64.b64decode(envelope[name]))
    raw[0] ^= 1
    return envelope | {name: base64.b64encode(raw).decode()}


@pytest.mark.parametrize("part", ["about", "nonce", "content"])
def test_a_changed_envelope_does_not_open(part: str) -> None:
    """Neither content, nonce nor what it is about can be changed."""
    key = read_key(KEY)
    with pytest.raises(Rejected, match="does not open"):
        unseal(changed(seal(b"password", key, "a"), part), key)


def test_another_key_does_not_open_it() -> None:
    """Another key, and an envelope with something missing, are told in words."""
    envelope = seal(b"password", b"k" * 32, "a")
    for broken, key in ((envelope, b"x" * 32), ({}, b"k" * 32)):
        with pytest.raises(Rejected, match="does not open"):
            unseal(broken, key)


@pytest.mark.parametrize("text", ["", "short", "not base64 at all!", base64.b64encode(b"k" * 31).decode()])
def test_a_key_is_32_bytes(text: str) -> None:
    """Anything else is refused, and not repeated in the message."""
    with pytest.raises(Rejected, match="openssl rand") as refused:
        read_key(text)
    assert not text or text not in str(refused.value)
