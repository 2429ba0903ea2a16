"""Units of work about alerts that always fire: one that is heard is noted, one that is silent becomes an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.event import Status
from runbookd.model.watchdog import Listening, Watchdog
from runbookd.model.work import WorkKind
from runbookd.stages.receive import take_delivery
from runbookd.stages.watchdog import SOURCE, hear, is_silent, look, told_heard, told_missing

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.event import Event
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

SWITCH = "watchdog:"
"""How the switches begin that keep what is known; the watchdog's name follows."""


async def note_heard(tx: Tx, desk: Desk, event: Event, received_at: datetime, now: datetime) -> None:
    """Note an event that is a watchdog's; if that was missing, tell that it is heard again. Any other is left alone."""
    watchdog = desk.watchdogs.get((event.source, event.name))
    if watchdog is None or event.status is not Status.FIRING:
        return
    known = await _known(tx, watchdog)
    await _keep(tx, watchdog, hear(known, received_at, now))
    if known is not None and known.missing is not None:
        await _tell(tx, desk, told_heard(watchdog, known, now), now)


async def listen(tx: Tx, desk: Desk, now: datetime) -> list[Watchdog]:
    """Look at every watchdog; returns those found silent now, each of which has become a delivery of our own.

    Of what came in and waits to be admitted nobody knows yet what it tells: silence counts up to the oldest of that.
    """
    _, waiting_since = await tx.deliveries.pending()
    silent = []
    for watchdog in desk.watchdogs.values():
        known = look(await _known(tx, watchdog), watchdog, now)
        if known.missing is None and is_silent(known, watchdog, min(now, waiting_since or now)):
            known = known.model_copy(update={"missing": now})
            await _tell(tx, desk, told_missing(watchdog, known, now), now)
            silent.append(watchdog)
        await _keep(tx, watchdog, known)
    return silent


async def _known(tx: Tx, watchdog: Watchdog) -> Listening | None:
    kept = await tx.switches.get(SWITCH + watchdog.name)
    return None if kept is None else Listening.model_validate_json(kept)


async def _keep(tx: Tx, watchdog: Watchdog, known: Listening) -> None:
    await tx.switches.set(SWITCH + watchdog.name, known.model_dump_json())


async def _tell(tx: Tx, desk: Desk, body: bytes, now: datetime) -> None:
    """Make a delivery of our own; it takes the path of all others."""
    delivery = take_delivery(desk.ids.new("dlv"), SOURCE, body, headers={}, remote=None, now=now)
    await tx.deliveries.add(delivery)
    await tx.work.add(WorkKind.ADMIT, delivery.id, now, SOURCE)
