"""Who may come in: bearer tokens, basic passwords, secret headers and client certificates, several valid at once.

A secret is kept as a digest, and what is presented is compared with every digest in constant time, without an
early exit: how long the answer takes tells nothing of how near a guess was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from runbookd.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from multidict import CIMultiDictProxy
    from pydantic import SecretStr

    from runbookd.web.config import HookAuth, OneSecret

REALM: Final = "runbookd"

_BEARER: Final = b"bearer"
_BASIC: Final = b"basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What opens one door. `challenge` is the answer's `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    digests: tuple[bytes, ...] = ()
    header_names: tuple[str, ...] = ()
    client_names: frozenset[str] = frozenset()
    challenge: str = f'Bearer realm="{REALM}"'

    def allow(self, headers: CIMultiDictProxy[str], certificate: Mapping[str, object] | None) -> bool:
        """Whether a request may come in.

        `certificate` is the client's, verified, in the form of `ssl.SSLSocket.getpeercert`; None without one.
        """
        found = False
        for presented in self._presented(headers):
            for digest in self.digests:
                found |= hmac.compare_digest(presented, digest)
        return found or (bool(certificate) and not self.client_names.isdisjoint(names_in(certificate or {})))

    def _presented(self, headers: CIMultiDictProxy[str]) -> list[bytes]:
        """Return the digest of everything in the headers that may be a secret. A header given twice counts as none."""
        presented = []
        authorization = _single(headers, "Authorization")
        if authorization is not None:
            scheme, _, value = authorization.partition(b" ")
            presented.append(_digest_of_authorization(scheme.lower(), value.strip()))
        for name in self.header_names:
            value_of = _single(headers, name)
            if value_of is not None:
                presented.append(_digest(name.encode(), value_of))
        return presented


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The bearer tokens of the API, by the name of who has each."""

    digests: tuple[tuple[str, bytes], ...] = ()
    challenge: str = f'Bearer realm="{REALM}"'

    def holder(self, headers: CIMultiDictProxy[str]) -> str | None:
        """Return the name of who presents a token; None when it is nobody's."""
        authorization = _single(headers, "Authorization") or b""
        scheme, _, value = authorization.partition(b" ")
        presented = _digest(scheme.lower(), value.strip())
        found = None
        for name, digest in self.digests:
            if hmac.compare_digest(presented, digest):
                found = name
        return found


def tokens(settings: Mapping[str, OneSecret]) -> Tokens:
    """Make the API's tokens from its settings. Raises SettingsError for a file that is missing or empty."""
    return Tokens(
        digests=tuple((name, _digest(_BEARER, secret_of(secret))) for name, secret in settings.items())
    )


def credentials(auth: HookAuth) -> Credentials:
    """Make the credentials of a source's settings. Raises SettingsError for a file that is missing or empty."""
    bearer = [_bytes_of(secret) for secret in auth.bearer] + [_read(path) for path in auth.bearer_files]
    basic = [
        basic.username.encode() + b":" + _given(basic.password, basic.password_file) for basic in auth.basic
    ]
    headers = [(header.name.encode(), _given(header.value, header.file)) for header in auth.header]
    schemes = ["Bearer"] * bool(bearer or not basic) + ["Basic"] * bool(basic)
    return Credentials(
        digests=(
            *(_digest(_BEARER, value) for value in bearer),
            *(_digest(_BASIC, value) for value in basic),
            *(_digest(name, value) for name, value in headers),
        ),
        header_names=tuple({header.name for header in auth.header}),
        client_names=frozenset(auth.client_names),
        challenge=", ".join(f'{scheme} realm="{REALM}"' for scheme in schemes),
    )


def names_in(certificate: Mapping[str, object]) -> Iterable[str]:
    """Yield the names a certificate bears: DNS names and URIs of its alternative names, and its common names."""
    alternatives = certificate.get("subjectAltName", ())
    subject = certificate.get("subject", ())
    if isinstance(alternatives, tuple) and isinstance(subject, tuple):
        yield from (name for kind, name in alternatives if kind in {"DNS", "URI"})
        yield from (name for part in subject for kind, name in part if kind == "commonName")


def _digest(kind: bytes, secret: bytes) -> bytes:
    """Digest a secret together with the way it is presented, so that none opens by another way."""
    return hashlib.sha256(kind + b"\0" + secret).digest()


def _digest_of_authorization(scheme: bytes, value: bytes) -> bytes:
    """Digest an Authorization header; one that is not well formed gets a digest that fits nothing."""
    if scheme == _BASIC:
        try:
            return _digest(_BASIC, base64.b64decode(value, validate=True))
        except binascii.Error:
            return _digest(b"malformed", value)
    return _digest(scheme, value)


def header_values(headers: CIMultiDictProxy[str], name: str) -> list[bytes]:
    """Return the bytes of each header of this name. aiohttp decodes with `surrogateescape`."""
    return [value.encode("utf-8", "surrogateescape") for value in headers.getall(name, ())]


def secret_of(secret: OneSecret) -> bytes:
    """Return a secret's bytes. Raises SettingsError for a file that is missing or empty."""
    return _given(secret.value, secret.file)


def _single(headers: CIMultiDictProxy[str], name: str) -> bytes | None:
    """Return a header's bytes; None when it is missing or ambiguous."""
    values = header_values(headers, name)
    return values[0] if len(values) == 1 else None


def _given(value: SecretStr | None, file: Path | None) -> bytes:
    """Return the secret from whichever of the two is there; the settings made sure that one is."""
    return _bytes_of(value) if value is not None else _read(file)


def _bytes_of(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()


def _read(file: Path | None) -> bytes:
    """Read a mounted secret. Raises SettingsError with the path, never the content."""
    if file is None:
        raise SettingsError("a hook's secret has neither a value nor a file")
    try:
        secret = file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise SettingsError(
            f"cannot read the secret file {file}: {error.strerror}; check the mounted Secret"
        ) from None
    if not secret:
        raise SettingsError(f"the secret file {file} is empty; an empty secret would let everybody in")
    return secret
