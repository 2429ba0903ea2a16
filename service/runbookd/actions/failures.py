"""The words an action's failure is told in, and the one table from foreign errors and HTTP statuses to them.

`Failure.kind` is one of:

    invalid           the parameters, or the target's answer to them, say the call makes no sense (400, 422)
    refused           this service's own configuration does not allow it (host, command, a too wide silence)
    denied            the target does not let us (401, 403)
    not_found         404, 410          conflict   409, 412          unsupported   501, 505
    check_failed      the answer came and is not what was expected
    unexpected_status the answer is none of the statuses the step takes for success
    exit_status       a command ended with another status than expected
    tls               no trusted connection could be made
    unreachable       no connection at all; the call was never sent
    connection_lost   the connection broke before the answer was complete
    timeout           no answer in the time of one attempt (also 408)
    rate_limited      425, 429          unavailable   503          server_error   500, 502, 504
    too_large         the answer is longer than is read
    secret_missing    a secret it names is not set
    not_set           where it would go is not in the settings
    unknown_action    there is no such action
    observed          skipped, because observe mode changes nothing
    not_undoable      skipped, because there is nothing that would undo it
    internal          a bug in an action; the traceback is kept as evidence
    failed, temporary an author raised PermanentFailure or TemporaryFailure without a word of its own
"""

from __future__ import annotations

import socket
import ssl
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp

from runbookd.errors import ActionError, PermanentFailure, TemporaryFailure

if TYPE_CHECKING:
    from pydantic import BaseModel

_PERMANENT_STATUS = {
    401: "denied",
    403: "denied",
    404: "not_found",
    409: "conflict",
    410: "not_found",
    412: "conflict",
    501: "unsupported",
    505: "unsupported",
}
_TEMPORARY_STATUS = {408: "timeout", 425: "rate_limited", 429: "rate_limited", 503: "unavailable"}
_UNDONE_BY_STATUS = frozenset({425, 429, 503})
"""Statuses by which a server says it did not begin; after any other 5xx, or 408, nobody knows."""
NOT_UNDOABLE = "not_undoable"
_LONGEST_WAIT = 86_400.0
"""Seconds. A target may ask for patience, but not stop a run for good."""


class Unavailable(TemporaryFailure):
    """A TemporaryFailure with the `kind` of its cause."""

    def __init__(
        self, message: str, *, kind: str, retry_after: float | None = None, in_doubt: bool = False
    ) -> None:
        super().__init__(message, retry_after=retry_after, in_doubt=in_doubt)
        self.kind = kind


class Rejected(PermanentFailure):
    """A PermanentFailure with the `kind` of its cause."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class CheckFailed(Rejected):
    """What was looked at is not as expected; `result` is what was seen, kept as the outcome's output."""

    def __init__(self, message: str, result: BaseModel) -> None:
        super().__init__(message, kind="check_failed")
        self.result = result


def failure_of_status(status: int, message: str, *, retry_after: float | None = None) -> ActionError:
    """The failure an HTTP answer of 300 or more means (RFC 9110 section 15), whoever the target is.

    A mutating call answered by 408, 500, 502 or 504 may have been carried out: it is in doubt.
    """
    if status in _TEMPORARY_STATUS:
        return Unavailable(
            message,
            kind=_TEMPORARY_STATUS[status],
            retry_after=retry_after,
            in_doubt=status not in _UNDONE_BY_STATUS,
        )
    if status in _PERMANENT_STATUS:
        return Rejected(message, kind=_PERMANENT_STATUS[status])
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(message, kind="server_error", retry_after=retry_after, in_doubt=True)
    if status >= HTTPStatus.BAD_REQUEST:
        return Rejected(message, kind="invalid")
    return Rejected(message, kind="unexpected_status")


def retry_after_of(header: str | None, now: datetime) -> float | None:
    """Seconds a `Retry-After` header asks for, at most a day; None without one.

    It holds seconds or a date: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3.
    """
    if not header:
        return None
    if header.strip().isdecimal():
        return min(float(header), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return min(max(0.0, (moment - now).total_seconds()), _LONGEST_WAIT) if moment.tzinfo else None


def failure_of_error(error: BaseException, what: str) -> ActionError | None:
    """The failure a foreign error means; `what` begins the message. None when it is nobody's known error.

    `in_doubt` of the answer says that a request may have left; whether that matters is for the caller to say.
    """
    if isinstance(error, ActionError):
        return error
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return Rejected(f"{what}: no trusted TLS connection: {_tls_reason(error)}", kind="tls")
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return Rejected(f"{what}: not a URL that can be called", kind="invalid")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | _NEVER_SENT):
        cause = getattr(error, "os_error", error)
        if isinstance(cause, ActionError):
            return cause
        return Unavailable(f"{what}: no connection: {_reason(cause)}", kind="unreachable")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{what}: no answer in time", kind="timeout", in_doubt=True)
    if isinstance(error, OSError | aiohttp.ClientError):
        broken = f"{what}: the connection broke before the answer was complete: {_reason(error)}"
        return Unavailable(broken, kind="connection_lost", in_doubt=True)
    return None


_NEVER_SENT = ConnectionRefusedError | socket.gaierror


def _reason(error: BaseException) -> str:
    """The shortest text that tells: the system's own words when there are some."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text) if text else type(error).__name__


def _tls_reason(error: BaseException) -> str:
    """OpenSSL's verdict on the certificate when that is the trouble, else its error text."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(cause, "verify_message", "") or getattr(cause, "reason", None) or str(cause)
