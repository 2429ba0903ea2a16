"""Units of work about the switch that stops all mutating calls: a person turns it, or the storm brake does.

Only a person turns it back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbookd.language.values import canonical_json
from runbookd.model.audit import Entry, Stage
from runbookd.model.durations import format_duration
from runbookd.model.work import WorkKind
from runbookd.stages.plan import STORM_BRAKE
from runbookd.units.desk import PAUSED

if TYPE_CHECKING:
    from datetime import datetime

    from runbookd.ports import Tx
    from runbookd.stages.plan import Reach

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


@dataclass(frozen=True, slots=True)
class Switched:
    """What came of turning the switch: a sentence for who asked, and whether anything changed."""

    said: str
    changed: bool


async def pause_once(tx: Tx, reason: str, actor: str, key: str | None, now: datetime) -> Switched:
    """As `pause`, where the same may be told twice: with the same key, or by the same actor for the same reason."""
    if key is not None and not await tx.messages.act_once(key, now):
        return Switched("this was told before", changed=False)
    paused = await tx.switches.get(PAUSED)
    if paused is not None and (json.loads(paused)["by"], json.loads(paused)["reason"]) == (actor, reason):
        return Switched("it was paused before, by you and for this reason", changed=False)
    running = await pause(tx, reason, actor, now)
    return Switched(
        f"paused: nothing is changed from now on; {running} runs under way stop at the next step border",
        changed=True,
    )


async def resume_once(tx: Tx, reason: str, actor: str, key: str | None, now: datetime) -> Switched:
    """As `resume`, where the same wish may be told twice."""
    if key is not None and not await tx.messages.act_once(key, now):
        return Switched("this was told before", changed=False)
    if not await resume(tx, reason, actor, now):
        return Switched("nothing was paused", changed=False)
    return Switched("resumed: runs act again; what the pause stopped stays stopped", changed=True)


async def bounds_now(tx: Tx, reach: Reach, now: datetime) -> dict[str, object]:
    """Return the pause, and how much of the bounds on all rules is used, as JSON."""
    paused = await tx.switches.get(PAUSED)
    return {
        "paused": None if paused is None else json.loads(paused),
        "budget": {
            "runs": reach.budget,
            "window": format_duration(reach.budget_window),
            "used": await tx.runs.acted_since(now - reach.budget_window, reach.budget),
        },
        "brake": {
            "runs": reach.brake,
            "window": format_duration(reach.brake_window),
            "used": await tx.runs.acted_since(now - reach.brake_window, reach.brake),
            "braked": is_braked(paused),
        },
    }


def is_braked(paused: str | None) -> bool:
    """Whether it was the storm brake that turned the switch; `paused` is its value, None when it is not set."""
    return paused is not None and str(json.loads(paused).get("reason")).startswith(STORM_BRAKE)
