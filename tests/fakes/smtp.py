"""A mail server on loopback: aiosmtpd, kept mails, and the refusals and failures of real ones on demand.

It takes mail as a submission server does: STARTTLS or TLS when it has a certificate, a sign-in when it has users,
lines of 998 characters at most, ASCII unless 8BITMIME was asked for, and only mails with a From, a Date and a
Message-ID, each once (Gmail answers 550 5.7.1 otherwise: https://support.google.com/mail/answer/81126).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import Enum
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ONCE = ("From", "Date", "Message-ID", "Subject")
GREETING = "greeting"
FINAL_DOT = "."


class Fault(Enum):
    """What happens in place of an answer. At the final dot the mail has been kept by then."""

    DROP = "the connection breaks"
    HANG = "nothing is ever said again"


@dataclass(frozen=True, slots=True)
class Kept:
    """A mail the server took: its envelope, its bytes, and whether they came encrypted, and from which user."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return message_from_bytes(self.raw, policy=policy.default)


@dataclass(slots=True)
class MailServer:
    """What it does, and what happened. Tests set the former and read the latter.

    `script` holds, by verb (`RCPT`, `DATA`, `STARTTLS`, also `greeting` and `.`), what the next commands of that kind
    are answered instead; `refuses` the reply to a recipient; `users` the passwords of those who have to sign in.
    """

    host: str = "127.0.0.1"
    port: int = 0
    users: dict[str, str] = field(default_factory=dict)
    refuses: dict[str, str] = field(default_factory=dict)
    script: dict[str, list[str | Fault]] = field(default_factory=lambda: defaultdict(list))
    extensions: Callable[[list[str]], list[str]] = list
    mails: list[Kept] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    sign_ins: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """The Message-IDs of the kept mails: how many mails people see."""
        return {str(mail.message["Message-ID"]) for mail in self.mails}

    def next(self, verb: str) -> str | Fault | None:
        """What the script has for this command; None for nothing."""
        return self.script[verb].pop(0) if self.script.get(verb) else None

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's hook
        self, server: _Conversation, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """What it offers."""
        session.host_name = hostname
        return self.extensions(responses)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's hook
        self, server: _Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A sender; refused to those who should have signed in."""
        if self.users and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's hook
        self, server: _Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's hook
        self, server: _Conversation, session: Session, envelope: Envelope
    ) -> str:
        """A mail, whole; kept unless something is wrong with it."""
        raw = bytes(envelope.original_content or b"")
        parsed = message_from_bytes(raw, policy=policy.default)
        if not raw.isascii() and "BODY=8BITMIME" not in envelope.mail_options:
            return "554 5.6.3 8-bit data without 8BITMIME"
        if missing := [name for name in ONCE if len(parsed.get_all(name, [])) != 1]:
            return f"550 5.7.1 Not one header {', '.join(missing)}"
        planned = self.next(FINAL_DOT)
        if isinstance(planned, str) and not planned.startswith("2"):
            return planned
        signed_in = self.sign_ins[-1][1] if session.authenticated else None
        self.mails.append(
            Kept(envelope.mail_from or "", tuple(envelope.rcpt_tos), raw, server.encrypted, signed_in)
        )
        if isinstance(planned, Fault):
            await server.fail(planned)
        return planned if isinstance(planned, str) else f"250 2.0.0 OK queued as {len(self.mails)}"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """A sign-in."""
        assert isinstance(data, LoginPassword)
        self.sign_ins.append((mechanism, data.login.decode()))
        success = self.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=success, handled=False, auth_data=data)


class _Conversation(SMTP):
    """One connection: records each command, and answers from the script where that has something."""

    def __init__(self, server: MailServer, trust: ssl.SSLContext | None, *, implicit: bool) -> None:
        super().__init__(
            server,
            hostname="mail.test",
            tls_context=None if implicit else trust,
            require_starttls=trust is not None and not implicit,
            auth_require_tls=not implicit,
            authenticator=server.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._server = server
        self._implicit = implicit
        self._greeted = False
        self._smtp_methods = {
            verb: partial(self._heard, verb, method) for verb, method in self._smtp_methods.items()
        }

    @property
    def encrypted(self) -> bool:
        """Whether what comes now comes over TLS."""
        return self._implicit or self._tls_protocol is not None

    async def push(self, status: Any) -> None:
        """Send one line; the first is the greeting."""
        planned = None if self._greeted else self._server.next(GREETING)
        self._greeted = True
        await self._say(status if planned is None else planned)

    async def fail(self, fault: Fault) -> None:
        """Break off, or fall silent."""
        if fault is Fault.DROP:
            assert isinstance(self.transport, asyncio.WriteTransport)
            self.transport.abort()
        await asyncio.Event().wait()

    async def _heard(self, verb: str, method: Callable[[Any], Awaitable[None]], arg: Any) -> None:
        self._server.verbs.append(verb)
        planned = self._server.next(verb)
        if planned is None:
            await method(arg)
        else:
            await self._say(planned)

    async def _say(self, what: Any) -> None:
        if isinstance(what, Fault):
            await self.fail(what)
        await super().push(what)
        if isinstance(what, str) and what.startswith("421") and self.transport is not None:
            self.transport.close()


@contextlib.asynccontextmanager
async def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    users: Mapping[str, str] | None = None,
) -> AsyncIterator[MailServer]:
    """A mail server on a free port: plain, with STARTTLS it insists on, or with TLS from the first byte."""
    server = MailServer(host=host, users=dict(users or {}))
    conversations: list[_Conversation] = []

    def begin() -> _Conversation:
        conversations.append(_Conversation(server, tls or starttls, implicit=tls is not None))
        return conversations[-1]

    listener = await asyncio.get_running_loop().create_server(begin, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await _end(conversations)


async def _end(conversations: list[_Conversation]) -> None:
    """Break off what is still open, and wait until nobody is left talking."""
    talking = [each._handler_coroutine for each in conversations if each._handler_coroutine is not None]  # noqa: SLF001 - aiosmtpd has no other way
    for each in conversations:
        if each.transport is not None:
            each.transport.close()
    for task in talking:
        task.cancel()
    await asyncio.gather(*talking, return_exceptions=True)
