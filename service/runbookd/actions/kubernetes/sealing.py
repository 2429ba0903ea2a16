"""Text that only the holder of a key can read: AES-256-GCM, as an envelope of JSON.

https://csrc.nist.gov/pubs/sp/800/38/d/final. The nonce is made from the key and the content (HMAC-SHA256), not
drawn: the same content gives the same envelope, and no nonce is used for two contents.
What the content is about is authenticated with it, so that one envelope cannot take another's place.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runbookd.actions.failures import Rejected

ALGORITHM = "AES-256-GCM"
_KEY_BYTES = 32
_NONCE_BYTES = 12


def read_key(text: str) -> bytes:
    """The key: 32 bytes as base64 (`openssl rand -base64 32`). Raises Rejected (`invalid`), never with the text."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise Rejected(
            "the key is not 32 bytes in base64; make one with `openssl rand -base64 32`", kind="invalid"
        )
    return key


def seal(plain: bytes, key: bytes, about: str) -> dict[str, str]:
    """The envelope that holds the content."""
    nonce = hmac.digest(_part(key, b"nonce"), about.encode() + b"\0" + plain, sha256)[:_NONCE_BYTES]
    sealed = AESGCM(_part(key, b"encryption")).encrypt(nonce, plain, about.encode())
    return {
        "sealed": ALGORITHM,
        "about": about,
        "nonce": base64.b64encode(nonce).decode(),
        "content": base64.b64encode(sealed).decode(),
    }


def unseal(envelope: dict[str, Any], key: bytes) -> bytes:
    """The content of an envelope; raises Rejected (`invalid`) for another key, or a changed envelope."""
    try:
        nonce, sealed = (base64.b64decode(envelope[name], validate=True) for name in ("nonce", "content"))
        return AESGCM(_part(key, b"encryption")).decrypt(nonce, sealed, envelope["about"].encode())
    except (InvalidTag, KeyError, ValueError) as error:
        raise Rejected(
            "the envelope does not open: it was sealed with another key, or changed since", kind="invalid"
        ) from error


def _part(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose only."""
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"runbookd " + purpose).derive(key)
