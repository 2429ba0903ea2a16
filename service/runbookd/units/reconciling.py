"""Units of work that square our open alerts with what a sender, asked, says is firing."""

from __future__ import annotations

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
    Every alert its list did hold was heard again before this is called.
    """
    for alert in await tx.alerts.open_of(source):
        if alert.last_seen < batch.received_at - desk.forget_after:
            await admit_event(tx, desk, batch, vanished(alert, batch.now), tally)
