"""Runs, their journal and evidence, and what the guards need to know of the past (`ports.Runs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.errors import NotFound
from runbookd.model.action import Mode
from runbookd.model.run import Evidence, Hold, Listed, Run, RunState, StepRecord, StepState
from runbookd.store import columns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from runbookd.store.driver import Driver, Row, Value


class Runs:
    """Runs in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def add(self, run: Run) -> bool:
        """Keep a new run; False, and nothing kept, when (alert_id, rule, rung) already has one."""
        return await self._driver.run("add_run", **_params(run)) == 1

    async def get(self, run_id: str) -> Run | None:
        """Return it, or None."""
        row = await self._driver.one("run", id=run_id)
        return None if row is None else _run(row)

    async def save(self, run: Run) -> None:
        """Replace by id; raises NotFound when there is no such run."""
        if not await self._driver.run("save_run", **_params(run)):
            raise NotFound(f"There is no run '{run.id}' that could be replaced; a new run is added first.")

    async def recent(self, limit: int, filters: Mapping[str, str]) -> list[Run]:
        """Newest first; raises StoreError for an unknown filter."""
        rows = await self._driver.all("recent_runs", where=tuple(filters), limit=limit, **filters)
        return [_run(row) for row in rows]

    async def running_of(self, incident_id: str) -> list[Run]:
        """Every run of the incident that has not ended, oldest first."""
        return [_run(row) for row in await self._driver.all("running_of_incident", incident_id=incident_id)]

    async def last_ended(self, rule: str, key: str, *, acted: bool = False) -> datetime | None:
        """When the latest started run of this (rule, key), or the latest that `acted`, ended; None when none did."""
        row = await self._driver.one("last_ended_acted" if acted else "last_ended", rule=rule, key=key)
        return columns.moment_or_none(row["at"]) if row else None

    async def last_acted(self, target: str) -> datetime | None:
        """When the latest run that intended a mutating call on this target ended, or began if it runs."""
        row = await self._driver.one("last_acted", target=target)
        return columns.moment_or_none(row["at"]) if row else None

    async def started_since(self, rule: str, key: str, since: datetime) -> int:
        """Count runs of this (rule, key) created at or after `since` that run, or changed something."""
        row = await self._driver.one("started_since", rule=rule, key=key, since=columns.micros(since))
        return row["started"] if row else 0

    async def acted_since(self, since: datetime, most: int) -> int:
        """Count runs in act mode over all rules since `since` that run, or changed something, up to `most`."""
        row = await self._driver.one("acted_since", since=columns.micros(since), most=most)
        return row["started"] if row else 0

    async def cancel_reason(self, run_id: str) -> str | None:
        """Return why the run is asked to stop; None when it is not, or is not there."""
        row = await self._driver.one("cancel_reason", id=run_id)
        return None if row is None else row["cancel_reason"]

    async def save_step(self, step: StepRecord) -> None:
        """Insert or replace by (run, path, attempt)."""
        await self._driver.run(
            "save_step",
            run_id=step.run_id,
            path=step.path,
            attempt=step.attempt,
            state=step.state.value,
            started_at=columns.micros(step.started_at),
            epoch=step.epoch,
            action=step.action,
            key=step.key,
            params=columns.tree_text(step.params),
            output=columns.tree_text(step.output),
            change=columns.tree_text_or_none(step.change),
            mutating=int(step.mutating),
            temporary=int(step.temporary),
            reason=step.reason,
            message=step.message,
            due_at=columns.micros_or_none(step.due_at),
            ended_at=columns.micros_or_none(step.ended_at),
        )

    async def steps(self, run_id: str) -> list[StepRecord]:
        """The journal, in the order the rows were first written."""
        return [_step(row) for row in await self._driver.all("steps", run_id=run_id)]

    async def add_evidence(self, evidence: Evidence) -> None:
        """Keep it; the same (run, name) again replaces it."""
        await self._driver.run(
            "add_evidence",
            run_id=evidence.run_id,
            name=evidence.name,
            media_type=evidence.media_type,
            content=evidence.content,
            sha256=evidence.sha256,
            taken_at=columns.micros(evidence.taken_at),
            incident_id=evidence.incident_id,
        )

    async def evidence(self, run_id: str) -> list[Evidence]:
        """Every piece, in the order it was taken."""
        return [_evidence(row) for row in await self._driver.all("evidence", run_id=run_id)]

    async def listed_evidence(self, run_id: str) -> list[Listed]:
        """Every piece without its content, in the same order."""
        return [
            Listed(
                run_id=row["run_id"],
                name=row["name"],
                media_type=row["media_type"],
                size=row["size"],
                sha256=row["sha256"],
                taken_at=columns.moment(row["taken_at"]),
            )
            for row in await self._driver.all("listed_evidence", run_id=run_id)
        ]

    async def add_plan(self, plan_hash: str, text: str) -> None:
        """Keep the frozen playbooks under their hash; once is enough."""
        await self._driver.run("add_plan", hash=plan_hash, text=text)

    async def plan(self, plan_hash: str) -> str | None:
        """Return the text kept under this hash, or None."""
        row = await self._driver.one("plan", hash=plan_hash)
        return None if row is None else row["text"]

    async def lock(self, target: str, run_id: str, at: datetime) -> str:
        """Take the target for the run unless another has; return the id of the run that has it now."""
        row = await self._driver.one("lock_target", target=target, run_id=run_id, taken_at=columns.micros(at))
        return row["run_id"] if row else run_id

    async def holder(self, target: str) -> str | None:
        """Return the id of the run that has taken the target, or None."""
        row = await self._driver.one("holder", target=target)
        return None if row is None else row["run_id"]

    async def unlock(self, run_id: str) -> None:
        """Let go of the target the run has taken."""
        await self._driver.run("unlock_targets", run_id=run_id)

    async def hold(self, hold: Hold) -> None:
        """Keep the target for people; a hold of the same playbook that is there already stands."""
        await self._driver.run(
            "add_hold",
            target=hold.target,
            playbook=hold.playbook,
            run_id=hold.run_id,
            incident_id=hold.incident_id,
            held_at=columns.micros(hold.held_at),
        )

    async def holds_of(self, target: str) -> list[Hold]:
        """Return what holds the target for people, oldest first: one for each playbook."""
        return [_hold(row) for row in await self._driver.all("holds_of", target=target)]

    async def holds(self) -> list[Hold]:
        """Every hold, oldest first."""
        return [_hold(row) for row in await self._driver.all("holds")]

    async def release(self, target: str, playbook: str) -> bool:
        """End the hold of a playbook on a target; False when there was none."""
        return await self._driver.run("release_hold", target=target, playbook=playbook) == 1


def _params(run: Run) -> dict[str, Value]:
    return {
        "id": run.id,
        "playbook": run.playbook,
        "plan_hash": run.plan_hash,
        "mode": run.mode.value,
        "created_at": columns.micros(run.created_at),
        "deadline_at": columns.micros(run.deadline_at),
        "scope": columns.tree_text(run.scope),
        "rule": run.rule,
        "key": run.key,
        "rung": run.rung,
        "alert_id": run.alert_id,
        "incident_id": run.incident_id,
        "target": run.target,
        "state": run.state.value,
        "reason": run.reason,
        "mutated": int(run.mutated),
        "cancel_reason": run.cancel_reason,
        "ended_at": columns.micros_or_none(run.ended_at),
    }


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        playbook=row["playbook"],
        plan_hash=row["plan_hash"],
        mode=Mode(row["mode"]),
        created_at=columns.moment(row["created_at"]),
        deadline_at=columns.moment(row["deadline_at"]),
        scope=columns.tree(row["scope"]),
        rule=row["rule"],
        key=row["key"],
        rung=row["rung"],
        alert_id=row["alert_id"],
        incident_id=row["incident_id"],
        target=row["target"],
        state=RunState(row["state"]),
        reason=row["reason"],
        mutated=bool(row["mutated"]),
        cancel_reason=row["cancel_reason"],
        ended_at=columns.moment_or_none(row["ended_at"]),
    )


def _step(row: Row) -> StepRecord:
    return StepRecord(
        run_id=row["run_id"],
        path=row["path"],
        attempt=row["attempt"],
        state=StepState(row["state"]),
        started_at=columns.moment(row["started_at"]),
        epoch=row["epoch"],
        action=row["action"],
        key=row["key"],
        params=columns.tree(row["params"]),
        output=columns.tree(row["output"]),
        change=columns.tree_or_none(row["change"]),
        mutating=bool(row["mutating"]),
        temporary=bool(row["temporary"]),
        reason=row["reason"],
        message=row["message"],
        due_at=columns.moment_or_none(row["due_at"]),
        ended_at=columns.moment_or_none(row["ended_at"]),
    )


def _evidence(row: Row) -> Evidence:
    return Evidence(
        run_id=row["run_id"],
        name=row["name"],
        media_type=row["media_type"],
        content=row["content"],
        sha256=row["sha256"],
        taken_at=columns.moment(row["taken_at"]),
        incident_id=row["incident_id"],
    )


def _hold(row: Row) -> Hold:
    return Hold(
        target=row["target"],
        playbook=row["playbook"],
        run_id=row["run_id"],
        incident_id=row["incident_id"],
        held_at=columns.moment(row["held_at"]),
    )
