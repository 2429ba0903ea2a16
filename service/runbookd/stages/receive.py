"""Receive: what is kept of a request before anyone tries to understand it, and its body read as JSON.

Nothing here knows a sender. A delivery is made of any bytes whatever, so that even a body nobody can read is
kept with the reason; `read_json` is where the senders' parsers (`runbookd.sources`) begin.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from runbookd.errors import PayloadError
from runbookd.model.event import Delivery, DeliveryState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

KEPT_HEADERS = frozenset(
    {
        "content-encoding",
        "content-length",
        "content-type",
        "traceparent",
        "user-agent",
        "x-amz-sns-message-id",
        "x-amz-sns-message-type",
        "x-request-id",
        "x-slack-retry-num",
        "x-webhook-id",
    }
)
"""The headers that are stored. A list of what is allowed: a new way to send a secret is not on it."""

_NESTING = frozenset({dict, list})

HEADER_LENGTH = 512
"""Characters kept of one header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the sender is told: the delivery as it was committed, and how many alerts it holds.

    A delivery in state `DEAD` was kept but can never be understood; its `reason` is the answer, `alerts` is 0.
    """

    delivery: Delivery
    alerts: int = 0

    @property
    def refusal(self) -> str | None:
        """Why the body can never be understood; None when it was."""
        return self.delivery.reason if self.delivery.state is DeliveryState.DEAD else None


def take_delivery(
    delivery_id: str,
    source: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    remote: str | None,
    now: datetime,
) -> Delivery:
    """Make the row that is committed before the sender is answered.

    `remote` is the sender's address, None when there is none (a poll).
    """
    return Delivery(
        id=delivery_id,
        source=source,
        received_at=now,
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        headers=keep_headers(headers),
        remote=remote,
    )


def dead_letter(delivery: Delivery, reason: str) -> Delivery:
    """Return the delivery as one that will never be understood, and why."""
    return replace(delivery, state=DeliveryState.DEAD, reason=reason)


def keep_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the few headers worth keeping: lower-case names, values cut to `HEADER_LENGTH`, always valid text."""
    kept = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in KEPT_HEADERS:
            # An HTTP server hands on bytes that are not UTF-8 as lone surrogates, which no database takes.
            kept[lower] = value[:HEADER_LENGTH].encode("utf-8", "backslashreplace").decode()
    return kept


def read_json(body: bytes, *, max_depth: int) -> object:
    """Return the body's JSON value, at most `max_depth` levels deep. Raises PayloadError that says what is wrong where.

    JSON is RFC 8259 in UTF-8 without a byte order mark; NaN, Infinity, trailing commas and lone surrogates are
    refused. A repeated key keeps its last value, as in Go, where Alertmanager's own readers live.
    """
    if not body or body.isspace():
        raise PayloadError("the body is empty: expected JSON; check what the sender is configured to send")
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PayloadError(_what_is_wrong(body, error)) from None
    # A body with few brackets cannot nest deeply: the usual one is not walked at all.
    if body.count(b"{") + body.count(b"[") > max_depth and _is_deeper(value, max_depth):
        raise PayloadError(f"the body nests deeper than {max_depth} levels of lists and objects")
    return value


def _what_is_wrong(body: bytes, error: orjson.JSONDecodeError) -> str:
    """Name the fault and its place; the parser itself gives no place for bytes that are not UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError as bad:
        return f"the body is not UTF-8: byte 0x{body[bad.start]:02x} at offset {bad.start}"
    return f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"


def _is_deeper(value: object, limit: int) -> bool:
    """Whether lists and objects nest more than `limit` levels; level by level, so that it cannot overflow a stack."""
    level = [value]
    for _ in range(limit):
        level = [inner for outer in level for inner in _inside(outer) if type(inner) in _NESTING]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    """Return what a list or object holds; nothing for another value."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
