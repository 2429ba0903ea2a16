"""The conversation with the mail server that takes our mail: connect, encrypt, sign in, hand one mail over.

SMTP is https://www.rfc-editor.org/rfc/rfc5321, submission RFC 6409, STARTTLS RFC 3207, the codes behind the codes
(`5.1.1`) RFC 3463; the client is https://aiosmtplib.readthedocs.io. Each mail gets a connection of its own. A server
that has taken the mail says so after the final dot of DATA, so only a break there leaves a doubt.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from ipaddress import ip_address

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from runbookd.actions.base import Context
from runbookd.actions.config import Email
from runbookd.actions.email.mail import Sender
from runbookd.actions.failures import Rejected, Unavailable, failure_of_error
from runbookd.errors import ActionError

_FAREWELL = 1.0
"""Seconds a server is given to answer QUIT; the mail is handed over by then."""
_EXCERPT = 300
_DENIED = frozenset({530, 534, 535, 538})
"""Replies about signing in (RFC 4954 section 6)."""
_KINDS = dict.fromkeys(_DENIED, "denied") | {550: "not_found", 551: "not_found", 552: "too_large"}
_ENHANCED = re.compile(r"5\.(\d{1,3})\.\d{1,3}\b")
_SUBJECTS = {"1": "not_found", "7": "denied"}
"""The second part of an enhanced code (RFC 3463 section 3): 1 is addressing, 7 is security or policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecipient:
    """A recipient the server does not take, in its own words; `code` is an SMTP reply code."""

    address: str
    code: int
    text: str

    @property
    def temporary(self) -> bool:
        """Whether it may take it later: greylisting, a full mailbox."""
        return _is_temporary(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the server answered: to the mail, and of the recipients it did not take."""

    said: str
    refused: tuple[RefusedRecipient, ...]


async def hand_over(
    context: Context, server: Email, mail: EmailMessage, sender: Sender, to: Sequence[str]
) -> Receipt:
    """Give the mail to the server for all these recipients.

    Raises Rejected or Unavailable in the server's words, also when it takes it for none of them. `context.sent` tells
    whether it may have been taken.
    """
    context.sent = False
    what = f"the mail server {server.host}:{server.port}"
    try:
        async with context.patience(), _connected(context, server, sender.domain) as client:
            await client.mail(sender.address)
            refused = await _name_recipients(client, to)
            if len(refused) == len(to):
                raise _all_refused(refused, what)
            context.sent = True
            answer = await client.data(bytes(mail))
            return Receipt(said=_excerpt(answer.message), refused=tuple(refused))
    except TimeoutError:
        raise Unavailable(f"{what}: no answer in time", kind="timeout", in_doubt=True) from None
    except (SMTPException, OSError) as error:
        raise _failure(error, what) from error


@asynccontextmanager
async def _connected(context: Context, server: Email, name: str) -> AsyncIterator[SMTP]:
    """A connection that is encrypted and signed in as configured; `name` is what we call ourselves (EHLO).

    Encryption is never given up: a server that does not offer it gets neither a password nor a mail.
    """
    trust = await context.shared("email", lambda: _trust(server))
    client = SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=False,  # done below, apart from the sign-in, so that each failure is told for what it is
        tls_context=trust,
        local_hostname=name,
        timeout=None,  # the whole attempt is bounded instead
    )
    try:
        await client.connect()
        if server.security == "starttls":
            await _encrypt(client, server)
        elif server.security == "none":
            check_loopback(str(client.get_transport_info("peername")[0]), server)
        await client.ehlo()
        if server.username is not None:
            await _sign_in(context, client, server, server.username)
        yield client
        with suppress(SMTPException, OSError):
            await client.quit(timeout=_FAREWELL)
    finally:
        if client.transport is not None:
            # A polite end of TLS would wait for a server that may be gone.
            client.transport.abort()  # type: ignore[attr-defined] # declared as its base, which cannot write
        client.close()


@asynccontextmanager
async def _trust(server: Email) -> AsyncIterator[ssl.SSLContext]:
    """A TLS client that trusts the system's authorities, and the operator's own if there are some."""
    trust = ssl.create_default_context()
    if server.ca_file is not None:
        try:
            trust.load_verify_locations(server.ca_file)
        except OSError as error:
            message = f"`actions.email.ca_file` {server.ca_file} cannot be used: {error}"
            raise Rejected(message, kind="tls") from error
    yield trust


async def _encrypt(client: SMTP, server: Email) -> None:
    """STARTTLS; raises Rejected (`tls`) when the server does not offer it."""
    await client.ehlo()
    if not client.supports_extension("starttls"):
        message = (
            f"the mail server {server.host}:{server.port} does not offer STARTTLS, so nothing was sent; "
            "`actions.email.security` may have to be `tls`, with port 465"
        )
        raise Rejected(message, kind="tls")
    await client.starttls()


def check_loopback(peer: str, server: Email) -> None:
    """Raise Rejected (`refused`) unless `peer`, the address a server has, is on this machine: it is not encrypted."""
    if not ip_address(peer.partition("%")[0]).is_loopback:
        message = (
            f"`actions.email.security: none` is for a server on loopback, and {server.host} is at {peer}; "
            "use `starttls` or `tls`"
        )
        raise Rejected(message, kind="refused")


async def _sign_in(context: Context, client: SMTP, server: Email, username: str) -> None:
    """One attempt, in the first way both sides know: several for one mail would lock the account."""
    if server.password_secret is None:
        message = "`actions.email.username` needs `actions.email.password_secret` beside it"
        raise Rejected(message, kind="refused")
    password = context.secret(server.password_secret)
    context.hide(f"\0{username}\0{password}")
    offered = client.server_auth_methods
    if "plain" in offered:
        await client.auth_plain(username, password)
    elif "login" in offered:
        await client.auth_login(username, password)
    elif "cram-md5" in offered:
        await client.auth_crammd5(username, password)
    else:
        message = (
            f"the mail server {server.host}:{server.port} offers no way to sign in that is known here "
            f"(PLAIN, LOGIN, CRAM-MD5), but {', '.join(offered).upper() or 'none at all'}"
        )
        raise Rejected(message, kind="denied")


async def _name_recipients(client: SMTP, to: Sequence[str]) -> list[RefusedRecipient]:
    """Tell the server each recipient; those it refuses."""
    refused = []
    for address in to:
        try:
            await client.rcpt(address)
        except SMTPRecipientRefused as error:
            refused.append(RefusedRecipient(address=address, code=error.code, text=_excerpt(error.message)))
    return refused


def _all_refused(refused: Sequence[RefusedRecipient], what: str) -> ActionError:
    """The failure when no recipient is left: worth another attempt if it is for one of them."""
    said = ", ".join(f"{each.address}: {each.code} {each.text}" for each in refused)
    message = f"{what} takes the mail for no recipient: {said}"
    if any(each.temporary for each in refused):
        return Unavailable(message, kind="unavailable")
    return Rejected(message, kind=_kind(refused[0].code, refused[0].text))


def _failure(error: SMTPException | OSError, what: str) -> ActionError:
    """The failure a broken conversation means."""
    if isinstance(error, SMTPSenderRefused):
        return _failure_of_reply(error.code, error.message, f"{what}, of the sender {error.sender},")
    if isinstance(error, SMTPResponseException):
        return _failure_of_reply(error.code, error.message, what)
    if isinstance(error, SMTPConnectError):
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError):
            return failure_of_error(cause, what) or Rejected(f"{what}: {cause}", kind="tls")
        reason = getattr(cause, "strerror", None) or str(cause or error)
        return Unavailable(f"{what}: no connection: {reason}", kind="unreachable")
    known = failure_of_error(error, what)
    return known or Unavailable(f"{what}: {error}", kind="connection_lost", in_doubt=True)


def _failure_of_reply(code: int, text: str, what: str) -> ActionError:
    """The failure a reply means (RFC 5321 section 4.2.1): 4yz may pass, 5yz will not; anything else tells nothing."""
    message = f"{what} answered {code} {_excerpt(text)}"
    if _is_temporary(code):
        return Unavailable(message, kind="unavailable")
    if 500 <= code < 600:  # noqa: PLR2004 - the class of replies
        return Rejected(message, kind=_kind(code, text))
    return Unavailable(message, kind="connection_lost", in_doubt=True)


def _kind(code: int, text: str) -> str:
    """The word for a permanent reply; the enhanced code knows more than the code."""
    enhanced = _ENHANCED.match(text)
    subject = _SUBJECTS.get(enhanced[1]) if enhanced else None
    return subject or _KINDS.get(code, "invalid")


def _is_temporary(code: int) -> bool:
    return 400 <= code < 500  # noqa: PLR2004 - the class of replies


def _excerpt(text: str) -> str:
    """The server's words on one line, not too many."""
    words = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return words if len(words) <= _EXCERPT else words[:_EXCERPT] + "…"
