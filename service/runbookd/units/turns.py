"""Whose turn it is where a channel has a limit: those that wait stand in line, and whoever goes calls the next.

Pages stand before all others, the older before the younger. So a wait costs one look when a message comes, and one when
it is its turn, however many wait.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from runbookd.model.action import NOT_SET, SECRET_MISSING
from runbookd.model.escalation import MessageKind
from runbookd.model.work import WorkKind
from runbookd.stages.outbox import bucket, pace

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.action import Failure
    from runbookd.model.escalation import Message
    from runbookd.ports import Tx

_ANYBODY = timedelta(seconds=5)
"""A turn that nobody before has taken for so long is anybody's: one that cannot go must not stop a channel."""
_NO_CALL = frozenset({NOT_SET, SECRET_MISSING})
"""Failures of what is not configured: the channel has heard nothing."""
_UNCALLED = 2
"""How many turns those before are given each, before a message looks by itself: it is called when it is its turn."""


async def turn(tx: Tx, message: Message, now: datetime) -> tuple[datetime, datetime]:
    """Return when to look whether it is a message's turn, now if it is, and when its channel is free for anybody.

    Unless it is its turn, it stands in line from now on, until it is saved.
    """
    line = bucket(message)
    if line is None:
        return now, now
    free_at = pace(message).free_at(await tx.messages.used_until(line), now)
    first = await tx.messages.first_in_line(line)
    if free_at <= now and (first in {None, message.id} or now - free_at >= _ANYBODY):
        return now, now
    ahead = await tx.messages.line_up(message, line, 0 if message.kind is MessageKind.PAGE else 1)
    return max(free_at, now) + ahead * _UNCALLED * pace(message).every, max(free_at, now)


async def take(tx: Tx, message: Message, now: datetime) -> datetime | None:
    """Take the turn of a message that goes now and has left the line; None where nothing is counted.

    Returns up to when its bucket is used then, which `answered` is told.
    """
    line = bucket(message)
    if line is None:
        return None
    used = pace(message).used(await tx.messages.used_until(line), now)
    await tx.messages.use(line, used)
    await call_next(tx, message, pace(message).free_at(used, now))
    return used


async def answered(
    tx: Tx, message: Message, taken: datetime | None, failure: Failure | None, now: datetime
) -> None:
    """Let the next go as soon as it may, now that a message is answered; `taken` is what its `take` returned.

    A `failure` may say that the channel has to be left alone for a while: then all of its line waits.
    """
    line = bucket(message)
    if line is None or taken is None:
        return
    used = await tx.messages.used_until(line) or taken
    if failure is not None and failure.kind in _NO_CALL:
        used = now if used == taken else used
    else:
        used = pace(message).answered(used, taken, now)
    if failure is not None and failure.retry_after is not None:
        used = pace(message).held(used, now + timedelta(seconds=failure.retry_after))
    await tx.messages.use(line, used)
    await call_next(tx, message, pace(message).free_at(used, now))


async def call_next(tx: Tx, message: Message, at: datetime) -> None:
    """Have the first in the line of a message, which has left it, look at a time whether it is its turn."""
    line = bucket(message)
    first = await tx.messages.first_in_line(line) if line is not None else None
    if first is not None:
        await tx.work.add(WorkKind.SEND, first, at, message.channel.value)
