"""A page rings where it has to, and opens nothing where a phone rings already."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runbookd.language.values import SecretRef
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState
from runbookd.stages.rings import open_rings, ring_for

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
L1, L2 = ({"service_key": SecretRef(name)} for name in ("l1", "l2"))
PAGE, OPENED = MessageKind.PAGE, MessageKind.OPENED
ACKNOWLEDGE, CLOSE = MessageKind.ACKNOWLEDGE, MessageKind.CLOSE


def message(
    kind: MessageKind, address: dict[str, Any], ring: int | None = None, priority: str = "P1", **fields: Any
) -> Message:
    """A message to a pager about one of its rings; None for one of which it is not known."""
    facts = {} if ring is None else {"ring": ring, "priority": priority}
    made: dict[str, Any] = {
        "id": f"msg-{kind}-{ring}",
        "key": "k",
        "kind": kind,
        "channel": Channel.PAGERDUTY,
        "address": address,
        "contact": "L1",
        "created_at": NOON,
        "facts": facts,
        "state": MessageState.SENT,
    }
    return Message(**made | fields)


FIRST = message(PAGE, L1, 0)
ACKNOWLEDGED = message(ACKNOWLEDGE, L1, 0)


@pytest.mark.parametrize(
    ("kind", "earlier", "expected"),
    [
        (PAGE, [], (0, None)),
        (PAGE, [FIRST], (0, None)),
        (PAGE, [message(PAGE, L1)], (0, None)),
        (PAGE, [message(PAGE, L2, 0), message(ACKNOWLEDGE, L2, 0)], (1, None)),
        (PAGE, [FIRST, ACKNOWLEDGED], (1, 0)),
        (OPENED, [FIRST, ACKNOWLEDGED], (0, None)),
        (PAGE, [FIRST, ACKNOWLEDGED, message(PAGE, L1, 1)], (1, None)),
        (PAGE, [FIRST, message(ACKNOWLEDGE, L2, 0)], (0, None)),
        (PAGE, [FIRST, ACKNOWLEDGED, message(PAGE, L2, 1), message(PAGE, L1, 2), ACKNOWLEDGED], (2, None)),
        (PAGE, [message(PAGE, L1, 0, "P2")], (1, 0)),
        (PAGE, [message(PAGE, L1, 0, "P2"), FIRST], (0, None)),
        (PAGE, [message(PAGE, L1, 0, state=MessageState.FAILED)], (1, 0)),
        (PAGE, [message(PAGE, {"to": "l1"}, channel=Channel.EMAIL)], (0, None)),
    ],
)
def test_which_ring_a_message_belongs_to(
    kind: MessageKind, earlier: list[Message], expected: tuple[int, int | None]
) -> None:
    """A new one after an acknowledgement, a rise or a failure, counted over all services; else the one there is."""
    assert ring_for(kind, L1, "P1", earlier) == expected


def test_rings_that_are_closed_are_not_open() -> None:
    """One for each ring of each service; that a ring is to be closed does not close it yet."""
    second, other = message(PAGE, L1, 1), message(PAGE, L2, 2)
    told = [FIRST, FIRST, second, other, message(OPENED, {"channel": "#ops"}, channel=Channel.SLACK)]
    closing = message(CLOSE, L2, 2, state=MessageState.PENDING)
    assert open_rings(told, [*told, message(CLOSE, L1, 0), closing]) == [second, other]
