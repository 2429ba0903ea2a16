"""Units of work that ask a run to stop: a person does, or a remedy that must not wait for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbookd.model.audit import Entry, Stage
from runbookd.model.work import WorkKind

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.model.run import Run
    from runbookd.ports import Tx


async def cancel_run(tx: Tx, run: Run, reason: str, actor: str, now: datetime) -> bool:
    """Ask a run to stop at its next step border; False when it has ended or was asked before."""
    if run.state.ended or run.cancel_reason is not None:
        return False
    await tx.work.add(WorkKind.ADVANCE, run.id, now)  # before the run: who carries it on holds this row
    await tx.runs.save(replace(run, cancel_reason=reason))
    entry = Entry(
        at=now,
        stage=Stage.EXECUTE,
        what="cancel_requested",
        actor=actor,
        incident_id=run.incident_id,
        run_id=run.id,
        detail={"reason": reason},
    )
    await tx.ledger.append([entry])
    return True
