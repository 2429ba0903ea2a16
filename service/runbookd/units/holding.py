"""Units of work about targets that are kept as a run left them, until a person releases them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.run import Hold

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.run import Run
    from runbookd.ports import Tx


async def hold_target(tx: Tx, run: Run, target: str) -> None:
    """Keep the target for people from the beginning of this run; an earlier hold of the same playbook stands."""
    hold = Hold(
        target=target,
        playbook=run.playbook,
        run_id=run.id,
        incident_id=run.incident_id,
        held_at=run.created_at,
    )
    await tx.runs.hold(hold)
    entry = Entry(
        at=run.created_at,
        stage=Stage.PLAN,
        what="target_held",
        incident_id=run.incident_id,
        run_id=run.id,
        detail={"target": target, "playbook": run.playbook},
    )
    await tx.ledger.append([entry])


async def drop_hold(tx: Tx, run: Run, now: datetime) -> None:
    """End the hold of a run that changed nothing after all; one that an earlier run had left stands."""
    for hold in await tx.runs.holds_of(run.target) if run.target is not None else ():
        if hold.run_id == run.id:
            await release_target(tx, hold, "the run changed nothing", "runbookd", now)


async def release_target(tx: Tx, hold: Hold, reason: str, actor: str, now: datetime) -> bool:
    """End one hold; False when it is gone. What was changed there stays changed, and other holds stay."""
    if not await tx.runs.release(hold.target, hold.playbook):
        return False
    entry = Entry(
        at=now,
        stage=Stage.PLAN,
        what="target_released",
        actor=actor,
        incident_id=hold.incident_id,
        run_id=hold.run_id,
        detail={"target": hold.target, "playbook": hold.playbook, "reason": reason},
    )
    await tx.ledger.append([entry])
    return True
