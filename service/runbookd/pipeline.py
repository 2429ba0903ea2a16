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
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from runbookd.errors import LeaseLost, PayloadError, StoreUnavailable
from runbookd.model.action import Call
from runbookd.model.audit import Entry, Stage
from runbookd.model.event import Delivery, DeliveryState
from runbookd.model.plan import Ask, Start
from runbookd.model.work import Work, WorkKind
from runbookd.sources import SOURCES
from runbookd.stages.journal import Answered
from runbookd.stages.receive import Receipt, dead_letter, take_delivery
from runbookd.units.admission import Batch, Tally, admit_event
from runbookd.units.answers import take_acts
from runbookd.units.desk import Desk, Plans
from runbookd.units.escalation import Watched, watch_clocks
from runbookd.units.handover import hand_over
from runbookd.units.parsing import Parsed
from runbookd.units.planning import plan_again
from runbookd.units.reconciling import ASKED, close_missing
from runbookd.units.records import admitted_entry
from runbookd.units.running import Claim, News, Onward, carry_on
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from runbookd.model.incident import Incident
    from runbookd.ports import Clock, Performer, Store, Tx

log = structlog.get_logger()

CHUNK = 64
"""Events admitted in one transaction: a delivery of thousands must not keep the store from everyone else."""

_LATELY = timedelta(seconds=15)
_STORE_RETRY = 0.5
"""Seconds between two tries to write answers while the store is unavailable."""


class Ports(NamedTuple):
    """What the pipeline needs of the world."""

    store: Store
    performer: Performer
    clock: Clock


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
        self.leaving = False
        self._turned_away_at: datetime | None = None

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
            await tx.work.add(WorkKind.ADMIT, delivery.id, now, delivery.source)

        try:
            await self._store.write(keep)
        except StoreUnavailable:
            self._turned_away_at = now
            raise
        self._parsed.keep(delivery, notification)
        for reason in notification.refused:
            log.error("an alert is refused", stage="normalize", delivery=delivery.id, reason=reason)
        self._watch.received(source, "accepted")
        self.wake()
        return Receipt(delivery=delivery, alerts=len(notification.events))

    async def taking(self) -> str | None:
        """Say that deliveries were turned away just now (a readiness check); None when they were kept."""
        at = self._turned_away_at
        lately = at is not None and self._clock.now() - at < _LATELY
        return f"a delivery could not be kept at {at:%H:%M:%S}" if at is not None and lately else None

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
            entry = Entry(
                at=now, stage=Stage.RECEIVE, what="dead_letter", delivery_id=delivery.id, detail=detail
            )
            await tx.ledger.append([entry])

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
            self._watch.admitted(tally)
            self.wake()

    async def _admit_some(self, tx: Tx, *, works: Sequence[Work], tally: Tally, now: datetime) -> int:
        """Admit up to `CHUNK` events; returns how many deliveries were done with."""
        tally.clear()
        room = CHUNK
        for index, work in enumerate(works):
            taken, done = await self._admit_one(tx, work, room, tally, now)
            room -= taken
            if not done:
                return index
            if room == 0:
                return index + 1
        return len(works)

    async def _admit_one(
        self, tx: Tx, work: Work, room: int, tally: Tally, now: datetime
    ) -> tuple[int, bool]:
        """Admit the next events of a delivery, at most `room`; returns how many, and whether it is done with."""
        delivery = await tx.deliveries.get(work.ref)
        if delivery is None or delivery.state is not DeliveryState.PENDING:
            await tx.work.finish(work)
            return 0, True
        try:
            notification = self._parsed.of(
                delivery, lambda: SOURCES[delivery.source](delivery.body, self.desk.limits)
            )
        except PayloadError as error:  # it was understood when it came; the service has become stricter since
            await tx.deliveries.settle(delivery.id, DeliveryState.DEAD, delivery.progress, str(error))
            await tx.work.finish(work)
            return 0, True
        chunk = notification.events[delivery.progress : delivery.progress + room]
        batch = Batch(
            delivery_id=delivery.id,
            received_at=delivery.received_at,
            now=now,
            asked=notification.complete,
        )
        stored = [await admit_event(tx, self.desk, batch, event, tally) for event in chunk]
        stored += await take_acts(tx, self.desk, delivery, notification.acts, tally, now)
        progress = delivery.progress + len(chunk)
        done = progress >= len(notification.events)
        if done and notification.complete:
            await close_missing(tx, self.desk, batch, delivery.source.removesuffix(ASKED), tally)
        state = DeliveryState.ADMITTED if done else DeliveryState.PENDING
        await tx.deliveries.settle(delivery.id, state, progress)
        ids = [[event.id, event.outcome] for event in stored]
        await tx.ledger.append([admitted_entry(delivery, notification, ids, now)])
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

        The journal is committed before each call and after each answer. While calls are under way the run is
        looked at again when something else of it is due, and often enough to extend the claim. When the claim is
        lost the calls are abandoned and nothing more is written: LeaseLost.
        """
        claim = Claim(work=work, plans=self._plans, performer=self._performer)
        calls: dict[asyncio.Task[Answered], str] = {}
        news = News(leaving=self.leaving)
        held_until = self._clock.now() + self.desk.lease
        try:
            while True:
                onward, held_until = await self._look(claim, news, held_until)
                if onward is None:
                    return
                for start in onward.starts:
                    calls[asyncio.create_task(self._call(onward, start))] = start.record.path
                if onward.released or not calls:
                    return
                answers = await self._answers(calls, onward.moves.due)
                news = News(
                    before=onward, answers=answers, in_flight=frozenset(calls.values()), leaving=self.leaving
                )
        finally:
            for task in calls:
                task.cancel()

    async def _look(self, claim: Claim, news: News, held_until: datetime) -> tuple[Onward | None, datetime]:
        """Decide and write; returns what came of it, and until when the claim holds now.

        While the store is unavailable the answers are kept and written as soon as it is back, as long as the claim
        holds: an answer that is forgotten leaves its call in doubt.
        """
        while True:
            now = self._clock.now()
            try:
                unit = partial(carry_on, desk=self.desk, claim=claim, news=news, now=now)
                onward = await self._store.write(unit)
            except StoreUnavailable:
                if now >= held_until:
                    raise
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), _STORE_RETRY)
                continue
            if onward is not None and onward.starts and self._clock.now() >= now + self.desk.lease:
                message = f"the claim on run {claim.work.ref} ran out before its calls could be made"
                raise LeaseLost(message)
            self._say(onward)
            return onward, now + self.desk.lease

    async def _answers(
        self, calls: dict[asyncio.Task[Answered], str], due: datetime | None
    ) -> dict[str, Answered]:
        """Wait until a call ends, or the run is to be looked at again; returns the answers there are."""
        wait = self.desk.lease / 3
        if due is not None:
            wait = max(timedelta(0), min(wait, due - self._clock.now()))
        done, _ = await asyncio.wait(calls, timeout=wait.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        return {calls.pop(task): task.result() for task in done}

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

    def _say(self, onward: Onward | None) -> None:
        """Log what was written, once it is on disk."""
        if onward is None:
            return
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
            self.wake()
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

    async def plan(self, work: Work) -> None:
        """Plan for an alert that had to wait, or look again at an incident whose remedies came to nothing."""
        now = self._clock.now()

        async def unit(tx: Tx) -> None:
            await tx.work.hold(work, now, self.desk.lease)
            await plan_again(tx, self.desk, work, now)

        await self._store.write(unit)
        self.wake()

    # escalate ------------------------------------------------------------------------------------------------

    async def escalate(self, work: Work) -> None:
        """Tell people now of an incident that automation hands to them."""
        now = self._clock.now()

        async def unit(tx: Tx) -> Incident | None:
            await tx.work.hold(work, now, self.desk.lease)
            return await hand_over(tx, self.desk, work, now)

        incident = await self._store.write(unit)
        if incident is not None:
            reason = incident.escalation_reason or ""
            self._watch.escalated(reason, incident.priority)
            log.error(
                "people are needed",
                stage="escalate",
                incident=incident.id,
                priority=incident.priority,
                title=incident.title,
                reason=reason,
            )
        self.wake()

    async def watch_clock(self, work: Work) -> None:
        """Judge an incident's clocks and levels; what ran out is recorded, and whoever is due is told."""
        now = self._clock.now()

        async def unit(tx: Tx) -> Watched:
            await tx.work.hold(work, now, self.desk.lease)
            return await watch_clocks(tx, self.desk, work, now)

        watched = await self._store.write(unit)
        for kind in watched.breached:
            self._watch.breached(kind)
            log.error("clock breached", stage="escalate", incident=work.ref, clock=kind)
        for level, late in watched.fired:
            self._watch.level_told(late.total_seconds())
            log.warning("level told", stage="escalate", incident=work.ref, level=level)
        self.wake()
