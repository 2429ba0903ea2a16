"""What the outbox asks of a channel is what the channel's action takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.model.escalation import Channel, MessageKind, MessageState
from runbookd.stages.outbox import send_of
from tests.unit.stages.test_outbox import message, posted

CATALOGUE = ActionCatalogue()
OF_SLACK = {MessageKind.CHANNEL, MessageKind.EDIT, MessageKind.REPLY, MessageKind.REMINDER}
OF_PAGERS = {MessageKind.ACKNOWLEDGE, MessageKind.CLOSE}
SENT = [
    (channel, kind)
    for channel in Channel
    for kind in MessageKind
    if (kind not in OF_SLACK or channel is Channel.SLACK)
    and (kind not in OF_PAGERS or channel is Channel.PAGERDUTY)
    and (kind is not MessageKind.PAGE or channel is not Channel.STATUSPAGE)
]


@pytest.mark.parametrize(("channel", "kind"), SENT, ids=lambda each: each.value)
def test_every_call_of_the_outbox_fits_its_action(channel: Channel, kind: MessageKind) -> None:
    """Parameters have the names and types the action declares; a secret stands for a text."""
    words = {"subject": "P0 down", "body": "since noon", "html": "<p>x</p>", "priority": "P0", "open": True}
    address = {"channel": "C0123456789", "user": "U0123456789"} if kind is MessageKind.REPLY else None
    if kind is MessageKind.CHANNEL:
        words |= {"name": "incident-20260105-1200", "topic": "down"}
        address = {}
    one = message(channel, kind, words=words, **({"address": address} if address is not None else {}))
    opened = message(Channel.STATUSPAGE, MessageKind.OPENED, state=MessageState.SENT)
    result = {"channel": "C0123456789", "ts": "1503435956.000247"}
    rung = message(Channel.PAGERDUTY, attempts=1)
    send = send_of(one, (opened, replace(posted(), result=result), rung))
    assert send is not None
    action = CATALOGUE.find(send.action)
    assert action is not None
    params = {name: "0" * 32 if name == "service_key" else value for name, value in send.params.items()}
    params.pop("schedule", None)
    action.params.model_validate(params)


def test_mail_to_whoever_is_on_call_asks_first() -> None:
    """The question about a schedule is one the action takes."""
    action = CATALOGUE.find("pagerduty.get_on_calls")
    assert action is not None
    action.params.model_validate({"schedule": "PABC123"})
