"""Units of work that square our open alerts with what a sender, asked, says is firing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from runbookd.stages.admit import vanished
from runbookd.units.admission import Batch, Tally, admit_event

if TYPE_CHECKING:
    from runbookd.ports import Tx
    from runbookd.units.desk import Desk

ASKED = "-reconcile"
"""What a source's name ends in when it was asked, instead of telling by itself."""


async def close_missing(tx: Tx, desk: Desk, batch: Batch, source: str, tally: Tally) -> None:
    """Resolve every open alert that the source's complete lists have not held for `forget_after`.

    The wait is for an Alertmanager that has just restarted: it knows no alerts until Prometheus tells them again.
    So nothing is closed either before lists have come in for that long without a gap: after an outage of our own
    the first list says little. Every alert the list did hold was heard again before this is called.
    """
    unbroken_since = await _note_list(tx, desk, batch, source)
    bound = batch.received_at - desk.forget_after
    if unbroken_since > bound:
        return
    concluding = replace(batch, concluding=True)
    for alert in await tx.alerts.open_of(source):
        if alert.last_seen < bound:
            await admit_event(tx, desk, concluding, vanished(alert, batch.now), tally)


async def _note_list(tx: Tx, desk: Desk, batch: Batch, source: str) -> datetime:
    """Write down that a list came; returns since when they have come without a gap of `forget_after`."""
    name, received = f"listed:{source}", batch.received_at
    known = json.loads(await tx.switches.get(name) or "{}")
    last = datetime.fromisoformat(known["last"]) if known else None
    broken = last is None or received - last >= desk.forget_after
    since = received if broken else datetime.fromisoformat(known["since"])
    await tx.switches.set(name, json.dumps({"since": since.isoformat(), "last": received.isoformat()}))
    return since
