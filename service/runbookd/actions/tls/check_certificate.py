"""`tls.check_certificate`: look at the certificate a server shows, and say what is wrong with it.

Changes nothing, so there is nothing to undo. An expired, foreign or self-signed certificate is reported, not died of:
the failure has the kind `check_failed`, and everything that was seen is kept as the output. The server speaks TLS from
the first byte; STARTTLS is not spoken. Trusted are the system's authorities and those of `actions.http.ca_file` in the
settings. Names match as in https://www.rfc-editor.org/rfc/rfc9525#section-6.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from pydantic import Field

from runbookd.actions.base import Action, Context
from runbookd.actions.base import Params as BaseParams
from runbookd.actions.base import Result as BaseResult
from runbookd.actions.failures import CheckFailed, Rejected
from runbookd.actions.fetch import trusted
from runbookd.actions.reach import check_host
from runbookd.actions.tls.handshake import Server, chain_error, shown_certificate
from runbookd.model.action import Repeat, Spec

_DAY = timedelta(days=1)


class Params(BaseParams):
    """Which server, and what its certificate has to be."""

    host: str = Field(
        min_length=1, max_length=253, description="Name or address; it has to be allowed in the settings."
    )
    port: int = Field(default=443, ge=1, le=65535, description="TCP port.")
    server_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="The name to ask for and to compare. null: `host`.",
    )
    min_days: float | None = Field(
        default=14, ge=0, description="Fewer days left than this fail the step. null: any number may be left."
    )
    warn_days: float = Field(default=30, ge=0, description="Fewer days left than this set `expires_soon`.")
    require_valid: bool = Field(
        default=True,
        description="Fail unless the chain is trusted and the name matches; false: only report it.",
    )


class Result(BaseResult):
    """What the server shows."""

    days_left: float = Field(description="Days until it expires, to two places; negative when it has.")
    expires_soon: bool = Field(description="True when fewer than `warn_days` are left.")
    not_after: datetime = Field(description="When it expires.")
    not_before: datetime = Field(description="When it became valid.")
    subject: str = Field(description="Whom it is for (RFC 4514).")
    issuer: str = Field(description="Who signed it (RFC 4514).")
    names: list[str] = Field(description="The DNS names and IP addresses it is for.")
    chain_valid: bool = Field(description="Whether a trusted authority vouches for it, now.")
    chain_error: str | None = Field(description="OpenSSL's reason why not; null when it does.")
    name_matches: bool = Field(description="Whether it is for the name asked for.")
    serial: str = Field(description="Serial number, in hexadecimal.")


SPEC = Spec(
    name="tls.check_certificate",
    summary="Look at a server's certificate: how long it lasts, for whom, trusted or not.",
    mutates=False,
    repeat=Repeat.SAFE,
    undo="Nothing to undo: it changes nothing.",
    timeout=timedelta(seconds=15),
    example={"host": "shop.example.com", "min_days": 21},
)


async def run(params: Params, context: Context) -> Result:
    """Look, and raise CheckFailed naming all that is wrong."""
    check_host(params.host, context.config.http.allowed_hosts)
    server = Server(params.host, params.port, params.server_name or params.host)
    certificate = _parsed(await shown_certificate(server), server)
    wrong = await chain_error(server, trusted(context.config.http))
    names = _names(certificate)
    left = certificate.not_valid_after_utc - context.now()
    result = Result(
        days_left=round(left / _DAY, 2),
        expires_soon=left < params.warn_days * _DAY,
        not_after=certificate.not_valid_after_utc,
        not_before=certificate.not_valid_before_utc,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=names,
        chain_valid=wrong is None,
        chain_error=wrong,
        name_matches=any(name_fits(name, server.name) for name in names),
        serial=f"{certificate.serial_number:x}",
    )
    unmet = list(_unmet(params, server, result))
    if unmet:
        raise CheckFailed(f"{server}: {'; '.join(unmet)}", result)
    return result


def _unmet(params: Params, server: Server, result: Result) -> Iterator[str]:
    """Everything the certificate should be and is not."""
    if params.min_days is not None and result.days_left < params.min_days:
        yield f"the certificate has {result.days_left} days left, expected at least {params.min_days:g}"
    if params.require_valid and not result.chain_valid:
        yield f"its chain is not trusted: {result.chain_error}"
    if params.require_valid and not result.name_matches:
        yield f"it is for {', '.join(result.names) or 'no name'}, not for {server.name}"


def name_fits(pattern: str, name: str) -> bool:
    """Whether a name of a certificate covers a name asked for. A `*` stands for one whole first label, no more."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if _is_address(name):
        return _is_address(pattern) and ip_address(pattern) == ip_address(name)
    first, _, rest = name.partition(".")
    return pattern == name or (bool(first) and bool(rest) and pattern == f"*.{rest}")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _parsed(certificate: bytes, server: Server) -> x509.Certificate:
    """The certificate; raises Rejected (`tls`) when it is none."""
    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError as error:
        raise Rejected(f"{server}: the certificate cannot be read: {error}", kind="tls") from error


def _names(certificate: x509.Certificate) -> list[str]:
    """The names it is for; the common name has not counted since RFC 6125."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    dns: Sequence[str] = found.get_values_for_type(x509.DNSName)
    return [*dns, *(str(address) for address in found.get_values_for_type(x509.IPAddress))]


ACTION = Action(spec=SPEC, params=Params, result=Result, run=run)
