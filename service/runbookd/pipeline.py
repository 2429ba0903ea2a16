"""READ THIS FIRST: the path of one event, from a sender's request to a verified remedy.

    receive    the raw body is on disk before the sender hears "accepted"
    normalize  the sender's words become events, one shape for all
    admit      repeats, twins and stale news are told from a new alert; incidents open and close
    match      which rule takes it, and why not the others
    plan       what would run, and whether every limit allows it
    execute    the playbook's steps: intent on disk, call, outcome on disk
    verify     is the trouble gone?
    escalate   if not, or if nothing may be done, people are told; clocks are kept
    audit      each of the above writes to the ledger in its own transaction

Decisions are in `service/runbookd/stages/`, what they read and write in `service/runbookd/units/`. Here they are
put in order. Every method reads the clock once per decision, and no transaction is open while a call is made.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from runbookd.errors import PayloadError
from runbookd.model.action import Call
from runbookd.model.audit import Entry, Stage
from runbookd.model.event import Delivery, DeliveryState, Notification
from runbookd.model.plan import Ask, Start
from runbookd.model.work import Work, WorkKind
from runbookd.sources import SOURCES
from runbookd.stages.journal import Answered
from runbookd.stages.receive import Receipt, dead_letter, take_delivery
from runbookd.units.admission import Batch, Tally, admit_event
from runbookd.units.desk import PAUSED, Desk, Plans
from runbookd.units.escalation import watch_clocks
from runbookd.units.parsing import Parsed
from runbookd.units.reconciling import ASKED, close_missing
from runbookd.units.running import Claim, Onward, carry_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from runbookd.ports import Clock, Performer, Store, Tx

log = structlog.get_logger()

CHUNK = 64
"""Events admitted in one transaction: a delivery of thousands must not keep the store from everyone else."""


class Ports(NamedTuple):
    """What the pipeline needs of the world."""

    store: Store
    performer: Performer
    clock: Clock


class Watch:
    """What the pipeline tells those who count; every method does nothing unless overridden."""

    def received(self, source: str, result: str) -> None:
        """A delivery was accepted, or kept as a dead letter."""

    def admitted(self, outcomes: Mapping[str, int]) -> None:
        """Events were admitted, by outcome."""

    def called(self, action: str, state: str, seconds: float) -> None:
        """A call of an action ended."""

    def ended(self, playbook: str, state: str) -> None:
        """A run ended."""

    def breached(self, kind: str) -> None:
        """A clock ran out."""


class Pipeline:
    """The nine stages in order. One instance serves any number of workers."""

    def __init__(self, ports: Ports, desk: Desk, watch: Watch | None = None) -> None:
        """Nothing is started; `wake` is called after every commit that left work to do."""
        self._store, self._performer, self._clock = ports
        self.desk = desk
        self._watch = watch or Watch()
        self._plans = Plans()
        self._parsed = Parsed()
        self.wake: Callable[[], None] = lambda: None

    # receive -------------------------------------------------------------------------------------------------

    async def receive(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None
    ) -> Receipt:
        """Keep a delivery on disk; it is worked on from there. What can never be understood is kept as a dead letter.

        Raises StoreUnavailable when nothing could be kept.
        """
        now = self._clock.now()
        delivery = take_delivery(
            self.desk.ids.new("dlv"), source, body, headers=headers, remote=remote, now=now
        )
        try:
            notification = SOURCES[source](body, self.desk.limits)
        except PayloadError as error:
            return await self._bury(dead_letter(delivery, str(error)), now)

        async def keep(tx: Tx) -> None:
            await tx.deliveries.add(delivery)
            await tx.work.add(WorkKind.ADMIT, delivery.id, now)

        await self._store.write(keep)
        self._parsed.keep(delivery, notification)
        self._watch.received(source, "accepted")
        self.wake()
        return Receipt(delivery=delivery, alerts=len(notification.events))

    async def refuse(
        self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None, reason: str
    ) -> Receipt:
        """Keep what came of a body that the door refused before its end. Raises StoreUnavailable."""
        now = self._clock.now()
        delivery = take_delivery(
            self.desk.ids.new("dlv"), source, body, headers=headers, remote=remote, now=now
        )
        return await self._bury(dead_letter(delivery, reason), now)

    async def _bury(self, delivery: Delivery, now: datetime) -> Receipt:
        """Keep what can never be understood, so that a person can look at it."""

        async def bury(tx: Tx) -> None:
            await tx.deliveries.add(delivery)
            detail = {"source": delivery.source, "reason": delivery.reason, "sha256": delivery.sha256}
            await tx.ledger.append(
                [
                    Entry(
                        at=now,
                        stage=Stage.RECEIVE,
                        what="dead_letter",
                        delivery_id=delivery.id,
                        detail=detail,
                    )
                ]
            )

        await self._store.write(bury)
        self._watch.received(delivery.source, "dead_letter")
        log.warning("dead letter", stage="receive", delivery=delivery.id, reason=delivery.reason)
        return Receipt(delivery=delivery)

    # normalize, admit, match, plan ---------------------------------------------------------------------------

    async def admit(self, works: Sequence[Work]) -> None:
        """Take deliveries apart, in order. Many small ones, or a part of a large one, are one transaction."""
        waiting = list(works)
        while waiting:
            now = self._clock.now()
            tally = Tally()
            unit = partial(self._admit_some, works=waiting, tally=tally, now=now)
            done = await self._store.write(unit)
            for work in waiting[:done]:
                self._parsed.forget(work.ref)
            waiting = waiting[done:]
            self._watch.admitted(tally.outcomes)
            self.wake()

    async def _admit_some(self, tx: Tx, *, works: Sequence[Work], tally: Tally, now: datetime) -> int:
        """Admit up to `CHUNK` events; returns how many deliveries were done with."""
        tally.outcomes.clear()
        paused = await tx.switches.get(PAUSED) is not None
        room = CHUNK
        for index, work in enumerate(works):
            taken, done = await self._admit_one(tx, work, room, (tally, now, paused))
            room -= taken
            if not done:
                return index
            if room == 0:
                return index + 1
        return len(works)

    async def _admit_one(
        self, tx: Tx, work: Work, room: int, seen: tuple[Tally, datetime, bool]
    ) -> tuple[int, bool]:
        """Admit the next events of a delivery, at most `room`; returns how many, and whether it is done with."""
        tally, now, paused = seen
        delivery = await tx.deliveries.get(work.ref)
        if delivery is None or delivery.state is not DeliveryState.PENDING:
            await tx.work.finish(work)
            return 0, True
        notification = self._parsed.of(
            delivery, lambda: SOURCES[delivery.source](delivery.body, self.desk.limits)
        )
        chunk = notification.events[delivery.progress : delivery.progress + room]
        batch = Batch(
            delivery_id=delivery.id,
            received_at=delivery.received_at,
            now=now,
            asked=notification.complete,
            paused=paused,
        )
        stored = [await admit_event(tx, self.desk, batch, event, tally) for event in chunk]
        progress = delivery.progress + len(chunk)
        done = progress >= len(notification.events)
        if done and notification.complete:
            await close_missing(tx, self.desk, batch, delivery.source.removesuffix(ASKED), tally)
        state = DeliveryState.ADMITTED if done else DeliveryState.PENDING
        await tx.deliveries.settle(delivery.id, state, progress)
        ids = [[event.id, event.outcome] for event in stored]
        await tx.ledger.append([_admitted(delivery, notification, ids, now)])
        if not done:
            await tx.work.hold(work, now, self.desk.lease)
            return len(chunk), False
        if notification.truncated:
            await tx.work.add(WorkKind.RECONCILE, delivery.source.removesuffix(ASKED), now)
        await tx.work.finish(work)
        return len(chunk), True

    # execute, verify -----------------------------------------------------------------------------------------

    async def advance(self, work: Work) -> None:
        """Carry a run on until it ends, or has nothing to do before a time that is written down.

        The journal is committed before each call and after each answer; while a call is under way the claim is
        extended, and if it is lost the calls are abandoned and nothing more is written.
        """
        claim = Claim(work=work, plans=self._plans, performer=self._performer)
        calls: dict[asyncio.Task[Answered], str] = {}
        answers: dict[str, Answered] = {}
        try:
            while True:
                onward = await self._look(claim, answers, frozenset(calls.values()))
                answers = {}
                if onward is None:
                    return
                for start in onward.starts:
                    calls[asyncio.create_task(self._call(onward, start))] = start.record.path
                if onward.released or not calls:
                    return
                answers = await self._answers(work, calls)
        finally:
            for task in calls:
                task.cancel()

    async def _look(
        self, claim: Claim, answers: Mapping[str, Answered], in_flight: frozenset[str]
    ) -> Onward | None:
        now = self._clock.now()
        onward = await self._store.write(lambda tx: carry_on(tx, self.desk, claim, answers, in_flight, now))
        if onward is not None:
            self._say(onward)
            if onward.moves.finish is not None:
                self.wake()
        return onward

    async def _answers(self, work: Work, calls: dict[asyncio.Task[Answered], str]) -> dict[str, Answered]:
        """Wait for at least one call to end, extending the claim meanwhile."""
        while True:
            done, _ = await asyncio.wait(
                calls, timeout=self.desk.lease.total_seconds() / 3, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                return {calls.pop(task): task.result() for task in done}
            await self._hold(work)

    async def _hold(self, work: Work) -> None:
        now = self._clock.now()
        await self._store.write(lambda tx: tx.work.hold(work, now, self.desk.lease))

    async def _call(self, onward: Onward, start: Start) -> Answered:
        """Make one call; whatever goes wrong with it is in its outcome."""
        record = start.record
        begun = self._clock.now()
        call = Call(
            run_id=record.run_id,
            path=record.path,
            attempt=record.attempt,
            action=record.action or "",
            key=record.key,
            params=record.params,
            mode=onward.run.mode,
            timeout=start.timeout,
            incident_id=onward.run.incident_id,
            intended_at=record.started_at,
        )
        if start.ask is Ask.PROBE:
            probed, outcome = await self._performer.probe(call)
            answered = Answered(outcome=outcome, probed=probed)
        elif start.ask is Ask.UNDO and start.undoes is not None:
            answered = Answered(outcome=await self._performer.undo(call, start.undoes.output))
        else:
            answered = Answered(outcome=await self._performer.perform(call))
        state = str(answered.probed) if answered.outcome is None else answered.outcome.state.value
        self._watch.called(call.action, state, (self._clock.now() - begun).total_seconds())
        return answered

    def _say(self, onward: Onward) -> None:
        """Log what was written, once it is on disk."""
        run = onward.run
        for record in onward.moves.records:
            if record.state.value in {"waiting", "intent"} and not record.mutating:
                continue
            log.info(
                "step",
                stage="execute",
                run=run.id,
                path=record.path,
                state=record.state.value,
                reason=record.reason,
                message=record.message,
            )
        finish = onward.moves.finish
        if finish is not None:
            self._watch.ended(run.playbook, finish.state.value)
            log.info(
                "run ended",
                stage="verify",
                run=run.id,
                incident=run.incident_id,
                playbook=run.playbook,
                state=finish.state.value,
                reason=finish.reason.value,
                message=finish.message or None,
            )

    # escalate ------------------------------------------------------------------------------------------------

    async def escalate(self, work: Work) -> None:
        """Judge an incident's clocks; what ran out is recorded and handed to people."""
        now = self._clock.now()

        async def unit(tx: Tx) -> list[str]:
            await tx.work.hold(work, now, self.desk.lease)
            return await watch_clocks(tx, work, now)

        for kind in await self._store.write(unit):
            self._watch.breached(kind)
            log.error("clock breached", stage="escalate", incident=work.ref, clock=kind)


def _admitted(delivery: Delivery, notification: Notification, ids: list[list[str]], now: datetime) -> Entry:
    """One ledger entry for a chunk: which delivery, and what became of each of its events."""
    return Entry(
        at=now,
        stage=Stage.ADMIT,
        what="admitted",
        delivery_id=delivery.id,
        detail={
            "source": delivery.source,
            "received_at": delivery.received_at,
            "sha256": delivery.sha256,
            "events": ids,
            "truncated": notification.truncated,
        },
    )
