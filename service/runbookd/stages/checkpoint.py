"""Signed statements about the ledger: checkpoints, and the seals of archives.

A statement is one line of canonical JSON with an Ed25519 signature (RFC 8032) over the same line without it. A
checkpoint says what a chain's last entry was at a time; kept where an intruder cannot reach, it finds a tail that
was cut off and a chain that was written anew. A seal says which entries an archive holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from runbookd.errors import SettingsError
from runbookd.language.values import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.model.audit import LedgerRow

_KEY_LETTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A signed line, read. `first` and `previous` are None for a checkpoint, which is about one entry alone.

    `chain`, `seq` and `hash` name the (last) entry; a seal's `first` entry follows the hash `previous`. `key` is
    the id of the key that signed, and `line` the whole as it was written.
    """

    chain: str
    seq: int
    hash: str
    at: str
    key: str
    line: str
    first: int | None = None
    previous: str | None = None

    @property
    def is_seal(self) -> bool:
        """Whether an archive ends here."""
        return self.first is not None


class Signer:
    """A private key, and the id of its public half."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Hold the key."""
        self._key = key
        self.public = key.public_key()
        self.id = key_id(self.public)

    def checkpoint(self, chain: str, seq: int, hash_: str, at: datetime) -> str:
        """Sign a chain's last entry; returns the line, without its end."""
        return self._signed({"is": "checkpoint", "chain": chain, "seq": seq, "hash": hash_, "at": _time(at)})

    def seal(self, first: LedgerRow, last: LedgerRow, at: datetime) -> str:
        """Sign the entries from `first` to `last`, which the last one's hash covers; returns the line."""
        about = {"is": "archive", "chain": last.chain, "seq": last.seq, "hash": last.hash, "at": _time(at)}
        return self._signed(about | {"first": first.seq, "previous": first.previous})

    def _signed(self, statement: Mapping[str, object]) -> str:
        own = {**statement, "key": self.id}
        signature = self._key.sign(canonical_json(own).encode())
        return canonical_json({**own, "signature": base64.b64encode(signature).decode()})


def new_key() -> bytes:
    """Make a private key (PKCS 8, PEM, not encrypted)."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signer_of(pem: bytes) -> Signer:
    """Read a private key. Raises SettingsError, which shows nothing of it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            "the ledger's key is not a private Ed25519 key in PEM; `runbookd audit key` makes one"
        )
    return Signer(key)


def public_key_of(pem: bytes) -> Ed25519PublicKey:
    """Read a public key. Raises SettingsError."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError("not a public Ed25519 key in PEM; `runbookd audit key` prints the one to give")
    return key


def public_pem(key: Ed25519PublicKey) -> str:
    """Write a public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the short name of a key: the beginning of the SHA-256 of its 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:_KEY_LETTERS]


def read_statement(line: str, keys: Mapping[str, Ed25519PublicKey] | None) -> Statement:
    """Read a signed line, and check its signature by the keys (by their id); None checks none.

    Raises ValueError that says what is wrong with it.
    """
    try:
        fields = json.loads(line)
        signature = base64.b64decode(fields.pop("signature"), validate=True)
        sealed = fields.get("is") == "archive"
        statement = Statement(
            chain=str(fields["chain"]),
            seq=int(fields["seq"]),
            hash=str(fields["hash"]),
            at=str(fields["at"]),
            key=str(fields["key"]),
            line=line,
            first=int(fields["first"]) if sealed else None,
            previous=str(fields["previous"]) if sealed else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"not a signed statement ({type(error).__name__})"
        raise ValueError(message) from None
    if keys is None:
        return statement
    key = keys.get(statement.key)
    if key is None:
        message = f"signed by the key {statement.key}, which was not given"
        raise ValueError(message)
    try:
        key.verify(signature, canonical_json(fields).encode())
    except InvalidSignature:
        message = "its signature is not of the key it names"
        raise ValueError(message) from None
    return statement


def is_statement(line: bytes) -> bool:
    """Whether a line of a ledger outside the database is a statement, not an entry."""
    return b'"signature":' in line and b'"text":' not in line


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
