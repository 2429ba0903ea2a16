"""Unit tests of whom a page has reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.reached import PASSED_ON, RELIES_ON, TWICE, reached, unreached

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PHONE, MAIL = Channel.PAGERDUTY, Channel.EMAIL
FAILED, SENT, PENDING, DROPPED = (
    MessageState.FAILED,
    MessageState.SENT,
    MessageState.PENDING,
    MessageState.DROPPED,
)


def page(
    channel: Channel, state: MessageState, *, late: bool = False, party: str = "l1", reason: str | None = None
) -> Message:
    """A page to a contact."""
    return Message(
        id="m",
        key="k",
        kind=MessageKind.PAGE,
        channel=channel,
        address={},
        contact=party,
        party=party,
        created_at=NOON,
        state=state,
        facts={PASSED_ON: True} if late else {},
        reason=reason,
    )


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([page(MAIL, FAILED)], True),
        ([page(MAIL, FAILED), page(MAIL, SENT)], False),
        ([page(PHONE, FAILED), page(MAIL, SENT)], True),
        ([page(PHONE, SENT), page(MAIL, FAILED)], False),
        ([page(PHONE, PENDING), page(MAIL, FAILED)], False),
        ([page(PHONE, PENDING, late=True), page(MAIL, SENT)], True),
        ([page(PHONE, SENT, late=True), page(MAIL, FAILED)], False),
        ([page(PHONE, DROPPED, late=True)], False),
        ([page(PHONE, FAILED, reason="secret_missing"), page(MAIL, SENT)], False),
        ([page(PHONE, FAILED, reason="secret_missing"), page(MAIL, FAILED)], True),
        ([page(PHONE, FAILED, reason="secret_missing")], True),
        ([page(PHONE, FAILED), page(MAIL, SENT, party="l1.secondary")], False),
    ],
)
def test_a_contact_with_a_phone_is_reached_by_it(pages: list[Message], *, expected: bool) -> None:
    """Any address is enough for one without; a page that waits for its late ring has reached nobody yet."""
    assert unreached(pages) is expected


def test_a_page_left_out_for_another_has_reached_whom_the_other_reached() -> None:
    """Both levels share an address: what was sent there tells for both; without it, it tells for neither."""
    sent = replace(page(MAIL, SENT), id="sent")
    left_out = replace(page(MAIL, DROPPED, party="l2", reason=TWICE), facts={RELIES_ON: "sent"})
    assert [one.party for one in reached([sent, left_out])] == ["l1", "l2"]
    assert reached([left_out]) == []
