"""The outbox at work: each message is handed to its channel's action, its attempt on disk before and its outcome after.

Units of work are in `units/sending.py`; here is only their order, and no transaction is open while a call is made.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd.model.action import Call, Failure, Outcome, OutcomeState
from runbookd.model.escalation import Message, MessageState
from runbookd.units.sending import Attempt, begin_send, end_send, sent_before
from runbookd.units.watch import Watch

if TYPE_CHECKING:
    from runbookd.model.work import Work
    from runbookd.pipeline import Pipeline, Ports

log = structlog.get_logger()


class Outbox:
    """Sends messages. One instance serves any number of workers."""

    def __init__(self, ports: Ports, pipeline: Pipeline, watch: Watch | None = None) -> None:
        """`pipeline` has the content in force, and is woken when a message leaves something else to do."""
        self._store, self._performer, self._clock = ports
        self._pipeline = pipeline
        self._watch = watch or Watch()

    async def send(self, work: Work) -> None:
        """Make one attempt at a message, if it is its time; when to try again is written down."""
        desk, now = self._pipeline.desk, self._clock.now()
        begin = partial(begin_send, desk=desk, work=work, performer=self._performer, now=now)
        attempt = await self._store.write(begin)
        if isinstance(attempt, Message):
            self._watch.messaged(attempt)
        if not isinstance(attempt, Attempt):
            return
        outcome = await self._made(attempt)
        end = partial(end_send, desk=desk, attempt=attempt, outcome=outcome, now=self._clock.now())
        message = await self._store.write(end)
        if message.settled:
            self._watch.messaged(message)
        said = log.bind(
            message=message.id, channel=message.channel, kind=message.kind, contact=message.contact
        )
        if message.state is MessageState.SENT:
            said.info("sent", stage="escalate", incident=message.incident_id)
        elif message.state is MessageState.DROPPED:
            said.info("not needed", stage="escalate", incident=message.incident_id, reason=message.reason)
        else:
            said.warning("not sent", stage="escalate", incident=message.incident_id, reason=message.error)
        self._pipeline.wake()

    async def _made(self, attempt: Attempt) -> Outcome:
        """Make the call, unless an earlier attempt in doubt has got through after all."""
        call = attempt.call
        if attempt.probe:
            probed, outcome = await self._performer.probe(call)
            before = sent_before(probed, outcome)
            if before is not None:
                return before
        schedule = call.params.get("schedule")
        if schedule is None:
            return await self._performer.perform(call)
        return await self._to_who_is_on_call(call, schedule)

    async def _to_who_is_on_call(self, call: Call, schedule: object) -> Outcome:
        """Ask PagerDuty who is on call, and write to them."""
        asked = replace(call, action="pagerduty.get_on_calls", params={"schedule": schedule})
        found = await self._performer.perform(asked)
        if found.state is not OutcomeState.SUCCEEDED:
            return found
        people = found.output["people"]
        to = [one["email"] for one in people if one["email"]] if isinstance(people, list) else []
        if not to:
            message = f"nobody is on call in PagerDuty's schedule {schedule}; give it somebody, or the role an address"
            return Outcome(state=OutcomeState.FAILED, failure=Failure(kind="not_found", message=message))
        params = {name: value for name, value in call.params.items() if name != "schedule"}
        return await self._performer.perform(replace(call, params={**params, "to": to}))
