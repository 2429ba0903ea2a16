"""Who is meant is looked up when a level fires: roles with their hours, and addresses written out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbookd.language.values import SecretRef
from runbookd.model.escalation import Channel
from runbookd.model.library import Library
from runbookd.model.people import Role
from runbookd.model.rule import Calendar
from runbookd.stages.reach import NOT_THERE, OUT_OF_HOURS, Address, find

MONDAY_NOON, SUNDAY_NOON = datetime(2026, 1, 5, 12, tzinfo=UTC), datetime(2026, 1, 4, 12, tzinfo=UTC)
OFFICE = Calendar.model_validate(
    {"timezone": "UTC", "days": ["mon"], "from": "09:00", "to": "17:00"}, by_alias=True
)
LIBRARY = Library(
    calendars={"office": OFFICE},
    roles={
        name: Role.model_validate(role)
        for name, role in {
            "l2": {
                "primary": {
                    "name": "Level 2",
                    "slack": "#l2",
                    "email": "l2@example.com",
                    "webhook": "pager",
                    "pagerduty": {"service_key": "${secret.pd_l2}", "schedule": "PABC"},
                },
                "secondary": {"email": "backup@example.com"},
            },
            "l3": {"primary": {"email": "l3@example.com"}, "hours": "office"},
            "gone": {"primary": {"email": "x@example.com"}, "hours": "lost"},
            "pager": {"primary": {"pagerduty": {"schedule": "PXYZ"}}},
        }.items()
    },
)


@pytest.mark.parametrize(
    ("reach", "address"),
    [
        ("slack:#ops", Address(Channel.SLACK, {"channel": "#ops"})),
        ("email:a@example.com", Address(Channel.EMAIL, {"to": "a@example.com"})),
        ("webhook:pager", Address(Channel.WEBHOOK, {"name": "pager"})),
        ("statuspage", Address(Channel.STATUSPAGE, {})),
    ],
)
def test_an_address_written_out_is_that_address(reach: str, address: Address) -> None:
    """Whatever the hour, and with nobody after it."""
    found = find(reach, LIBRARY, SUNDAY_NOON, page=False)
    assert (found.addresses, found.next_contacts, found.contact) == ((address,), (), reach)


def test_a_page_goes_to_every_address_of_the_primary() -> None:
    """The secondary comes after it; a secret is a reference until the call."""
    found = find("l2", LIBRARY, SUNDAY_NOON, page=True)
    assert found.contact == "Level 2"
    assert found.next_contacts == ("l2.secondary",)
    assert found.addresses == (
        Address(Channel.SLACK, {"channel": "#l2"}),
        Address(Channel.EMAIL, {"to": "l2@example.com"}),
        Address(Channel.WEBHOOK, {"name": "pager"}),
        Address(Channel.PAGERDUTY, {"service_key": SecretRef("pd_l2")}),
        Address(Channel.EMAIL, {"schedule": "PABC"}),
    )


def test_a_notice_goes_to_the_first_address() -> None:
    """A notice rings no pager."""
    assert find("l2", LIBRARY, MONDAY_NOON, page=False).addresses == (
        Address(Channel.SLACK, {"channel": "#l2"}),
    )


def test_a_schedule_alone_is_whoever_is_on_call_there() -> None:
    """Who that is, PagerDuty is asked when the message is sent."""
    found = find("pager", LIBRARY, MONDAY_NOON, page=True)
    assert found.addresses == (Address(Channel.EMAIL, {"schedule": "PXYZ"}),)


def test_one_of_the_two_can_be_named() -> None:
    """`ROLE.secondary` is the secondary alone, `ROLE.primary` the primary alone."""
    second = find("l2.secondary", LIBRARY, MONDAY_NOON, page=True)
    assert (second.addresses, second.next_contacts) == (
        (Address(Channel.EMAIL, {"to": "backup@example.com"}),),
        (),
    )
    assert find("l2.primary", LIBRARY, MONDAY_NOON, page=True).next_contacts == ()


@pytest.mark.parametrize(
    ("reach", "now", "page", "reason"),
    [
        ("nobody", MONDAY_NOON, True, NOT_THERE),
        ("l3.secondary", MONDAY_NOON, True, NOT_THERE),
        ("l3", SUNDAY_NOON, False, OUT_OF_HOURS),
        ("l3", SUNDAY_NOON, True, ""),
        ("l3", MONDAY_NOON, False, ""),
        ("gone", SUNDAY_NOON, False, ""),
    ],
)
def test_who_cannot_be_reached_has_a_reason(reach: str, now: datetime, page: bool, reason: str) -> None:  # noqa: FBT001
    """Outside its hours a role hears no notice, but a page; a calendar that is gone closes nothing."""
    found = find(reach, LIBRARY, now, page=page)
    assert (found.reason, bool(found.addresses)) == (reason, not reason)
