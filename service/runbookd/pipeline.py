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
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import structlog

from runbookd.errors import PayloadError
from runbookd.model.action import Call, Probed
from runbookd.model.audit import Entry, Stage
from runbookd.model.event import Delivery, DeliveryState, Notification
from runbookd.model.plan import Ask, Plan, Start
from runbookd.model.work import Work, WorkKind
from runbookd.sources import SOURCES
from runbookd.stages.journal import Answered
from runbookd.stages.receive import Receipt, dead_letter, take_delivery
from runbookd.units.admission import Batch, Tally, admit_event
from runbookd.units.desk import Desk, thaw
from runbookd.units.escalation import watch_clocks
from runbookd.units.reconciling import ASKED, close_missing
from runbookd.units.running import Claim, Onward, carry_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from runbookd.ports import Clock, Performer, Store, Tx

log = structlog.get_logger()

CHUNK = 200
"""Events admitted in one transaction: a delivery of thousands must not keep the store from everyone else."""
_PLANS_KEPT = 256


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
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self.wake: Callable[[], None] = lambda: None

    # receive -------------------------------------------------------------------------------------------------

    async def receive(self, source: str, body: bytes, headers: Mapping[str, str], remote: str | None) -> Receipt:
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
                [Entry(at=now, stage=Stage.RECEIVE, what="dead_letter", delivery_id=delivery.id, detail=detail)]
            )

        await self._store.write(bury)
        self._watch.received(delivery.source, "dead_letter")
        log.warning("dead letter", stage="receive", delivery=delivery.id, reason=delivery.reason)
        return Receipt(delivery=delivery)

    # normalize, admit, match, plan ---------------------------------------------------------------------------

    async def admit(self, work: Work) -> None:
        """Take a delivery apart, chunk by chunk; each chunk is one transaction and is never done twice."""
        while True:
            now = self._clock.now()
            tally = Tally()

            async def unit(tx: Tx, now: datetime = now, tally: Tally = tally) -> bool:
                tally.outcomes.clear()
                tally.started.clear()
                return await self._admit_chunk(tx, work, tally, now)

            done = await self._store.write(unit)
            self._watch.admitted(tally.outcomes)
            self.wake()
            if done:
                return

    async def _admit_chunk(self, tx: Tx, work: Work, tally: Tally, now: datetime) -> bool:
        """Admit the next events of a delivery; True when it is done."""
        await tx.work.hold(work, now, self.desk.lease)
        delivery = await tx.deliveries.get(work.ref)
        if delivery is None or delivery.state is not DeliveryState.PENDING:
            await tx.work.finish(work)
            return True
        notification = SOURCES[delivery.source](delivery.body, self.desk.limits)
        chunk = notification.events[delivery.progress : delivery.progress + CHUNK]
        batch = Batch(
            delivery_id=delivery.id, received_at=delivery.received_at, now=now, asked=notification.complete
        )
        ids = [
            [stored.id, stored.outcome]
            for stored in [await admit_event(tx, self.desk, batch, event, tally) for event in chunk]
        ]
        progress = delivery.progress + len(chunk)
        done = progress >= len(notification.events)
        if done and notification.complete:
            await close_missing(tx, self.desk, batch, delivery.source.removesuffix(ASKED), tally)
        await tx.deliveries.settle(
            delivery.id, DeliveryState.ADMITTED if done else DeliveryState.PENDING, progress
        )
        await tx.ledger.append([_admitted(delivery, notification, ids, now)])
        if done and notification.truncated:
            await tx.work.add(WorkKind.RECONCILE, delivery.source.removesuffix(ASKED), now)
        if done:
            await tx.work.finish(work)
        return done

    # execute, verify -----------------------------------------------------------------------------------------

    async def advance(self, work: Work) -> None:
        """Carry a run on until it ends, or has nothing to do before a time that is written down.

        The journal is committed before each call and after each answer; while a call is under way the claim is
        extended, and if it is lost the calls are abandoned and nothing more is written.
        """
        claim = Claim(work=work, plan=await self._plan(work.ref), performer=self._performer)
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

    async def _look(self, claim: Claim, answers: Mapping[str, Answered], in_flight: frozenset[str]) -> Onward | None:
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
        state = answered.outcome.state.value if answered.outcome is not None else Probed(answered.probed).value
        self._watch.called(call.action, state, (self._clock.now() - begun).total_seconds())
        return answered

    async def _plan(self, run_id: str) -> Plan:
        """Return the frozen plan of a run, from memory or from the store."""

        async def read(tx: Tx) -> tuple[str, str | None]:
            run = await tx.runs.get(run_id)
            plan_hash = run.plan_hash if run is not None else ""
            return plan_hash, None if plan_hash in self._plans else await tx.runs.plan(plan_hash)

        plan_hash, text = await self._store.read(read)
        if plan_hash not in self._plans:
            self._plans[plan_hash] = thaw(text or '{"root": "", "playbooks": {}, "vars": {}}')
            if len(self._plans) > _PLANS_KEPT:
                self._plans.popitem(last=False)
        return self._plans[plan_hash]

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


