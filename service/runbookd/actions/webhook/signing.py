"""Signatures as https://www.standardwebhooks.com says, so that any receiver can check them with a ready library.

The specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

PREFIX = "whsec_"
_KEY_LENGTHS = range(24, 65)
"""Bytes a signing key may have."""
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def webhook_id(key: str) -> str:
    """Name the message with this key, the same each time it is sent, so that a receiver takes it once.

    An id must hold no full stop, which separates what is signed; a key with other characters than letters, digits,
    `_` and `-` is replaced by its hash.
    """
    if _PLAIN_ID.fullmatch(key):
        return key
    return "msg_" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:40]


def read_keys(secret: str) -> tuple[bytes, ...]:
    """Read a signing secret: `whsec_` and base64. Several, apart by spaces, while one replaces another.

    Raises ValueError, which does not show it, when it is none.
    """
    keys = tuple(_read_key(part) for part in secret.split())
    if not keys:
        message = "it is empty"
        raise ValueError(message)
    return keys


def signed_headers(keys: Sequence[bytes], message: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """Make the three headers for this attempt: the message's id, the time of the attempt, a signature by each key."""
    moment = str(int(at.timestamp()))
    content = b".".join((message.encode("ascii"), moment.encode("ascii"), body))
    return {
        "webhook-id": message,
        "webhook-timestamp": moment,
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode("ascii")


def _read_key(part: str) -> bytes:
    if not part.startswith(PREFIX):
        message = f"it does not begin with {PREFIX}"
        raise ValueError(message)
    try:
        key = base64.b64decode(part.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        message = f"what follows {PREFIX} is not base64"
        raise ValueError(message) from None
    if len(key) not in _KEY_LENGTHS:
        message = f"a key has 24 to 64 bytes, not {len(key)}"
        raise ValueError(message)
    return key
