"""Units of work about the switch that stops all mutating calls: a person turns it, or the storm brake does.

Only a person turns it back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json
from runbookd.model.audit import Entry, Stage
from runbookd.model.work import WorkKind
from runbookd.stages.plan import STORM_BRAKE
from runbookd.units.desk import PAUSED

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.ports import Tx

_MOST_RUNS = 10_000


async def pause(tx: Tx, reason: str, actor: str, now: datetime) -> int:
    """Stop every mutating call; running runs stop at their next step border. Returns how many run now.

    Pausing again replaces the reason.
    """
    await tx.switches.set(PAUSED, canonical_json({"at": now.isoformat(), "by": actor, "reason": reason}))
    running = await tx.runs.recent(_MOST_RUNS, {"state": "running", "mode": "act"})
    for run in running:
        await tx.work.add(WorkKind.ADVANCE, run.id, now)
    detail = {"reason": reason, "running": len(running)}
    await tx.ledger.append([Entry(at=now, stage=Stage.EXECUTE, what="paused", actor=actor, detail=detail)])
    return len(running)


async def resume(tx: Tx, reason: str, actor: str, now: datetime) -> bool:
    """Let runs act again; False when nothing was paused. What was stopped stays stopped."""
    if await tx.switches.get(PAUSED) is None:
        return False
    await tx.switches.set(PAUSED, None)
    await tx.ledger.append(
        [Entry(at=now, stage=Stage.EXECUTE, what="resumed", actor=actor, detail={"reason": reason})]
    )
    return True


def is_braked(paused: str | None) -> bool:
    """Whether it was the storm brake that turned the switch; `paused` is its value, None when it is not set."""
    return paused is not None and str(json.loads(paused).get("reason")).startswith(STORM_BRAKE)
