"""Which incident of a pager a page belongs to, so that a page that has to ring does ring.

PagerDuty rings when an incident opens there. A trigger with the key of one that is open is taken in and rings nobody,
and while somebody has acknowledged that one, "it won't generate any additional notifications, even if it receives new
trigger events" (https://developer.pagerduty.com/docs/events-api-v2/overview/). So every incident that is opened there
is a ring of its own, counted from 0 over all pagers of one incident of ours, and has a key of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json, encode
from runbookd.model.escalation import Channel, Message, MessageKind, MessageState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPENING = frozenset({MessageKind.PAGE, MessageKind.OPENED, MessageKind.UPDATE})
"""The kinds that trigger. The others change a ring that there is."""


def ring_of(message: Message) -> int:
    """Return the number of the ring that a message to a pager is about."""
    ring = message.facts.get("ring")
    return ring if isinstance(ring, int) else 0


def ring_for(
    kind: MessageKind, address: Mapping[str, object], priority: str, earlier: Sequence[Message]
) -> tuple[int, int | None]:
    """Return the ring that a new message belongs to, and the one it takes the place of, None for none.

    `earlier` are the incident's messages. A page rings anew after an acknowledgement, after a rise in priority, and
    when nobody knows whether the ring before got through. A notice, and a page while its service rings anyway, open
    none.
    """
    opening = [one for one in earlier if one.channel is Channel.PAGERDUTY and one.kind in OPENING]
    wanted = encode(address)
    here = [one for one in opening if encode(one.address) == wanted]
    new = max(map(ring_of, opening), default=-1) + 1
    if not here:
        return new, None
    last = max(map(ring_of, here))
    quieted = [one for one in earlier if one.kind is MessageKind.ACKNOWLEDGE and ring_of(one) == last]
    taken = any(encode(one.address) == wanted for one in quieted)
    rung = [one for one in here if ring_of(one) == last]
    raised = all(one.facts.get("priority", priority) != priority for one in rung)
    unknown = all(one.state is MessageState.FAILED for one in rung)
    anew = kind is MessageKind.PAGE and (taken or raised or unknown)
    return (new, last) if anew else (last, None)


def open_rings(told: Sequence[Message], earlier: Sequence[Message]) -> list[Message]:
    """Return the first message of every ring among those told, but for rings that `earlier` messages have closed."""
    first: dict[tuple[str, int], Message] = {}
    for one in told:
        if one.channel is Channel.PAGERDUTY:
            first.setdefault(_place(one), one)
    closed = {
        _place(one) for one in earlier if one.kind is MessageKind.CLOSE and one.state is MessageState.SENT
    }
    return [one for place, one in first.items() if place not in closed]


def _place(message: Message) -> tuple[str, int]:
    return canonical_json(encode(message.address)), ring_of(message)
