"""The dead man's switch: a sign of life to a service elsewhere, which tells people when it stays away.

One replica sends it each time; a switch in the database says when the next is due. Who takes that turn writes, so
a database that takes no writes ends in silence, and so does a process that is gone. A replica whose worker stands
still leaves the turn to the others, until it is late by a whole interval. https://healthchecks.io/docs/http_api/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import EvaluationError, LanguageError, SettingsError, StoreError
from runbookd.language.cel import Scope
from runbookd.language.render import compile_template
from runbookd.model.action import Call, Mode, OutcomeState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import SecretStr

    from runbookd.pipeline import Ports
    from runbookd.ports import Tx
    from runbookd.runtime.config import HeartbeatConfig
    from runbookd.runtime.metrics import Metrics

log = structlog.get_logger()

SWITCH = "heartbeat"
"""The switch whose value is when the next sign of life is due."""

_LONGEST_CALL = timedelta(seconds=10)
_AGAIN_AFTER = 4
"""After this part of the interval comes the next, when one did not get through or all was not well."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A sign of life that is ours to send; `fault` says what is wrong, None when all is well."""

    fault: str | None


class Heartbeat:
    """Sends the sign of life, or the one that something is wrong."""

    def __init__(
        self,
        ports: Ports,
        config: HeartbeatConfig,
        turning: Callable[[], Awaitable[str | None]],
        metrics: Metrics,
    ) -> None:
        """`turning` says why the worker is not well, None when it is. Raises SettingsError for an unreadable URL."""
        self._store, self._performer, self._clock = ports
        self._config, self._turning, self._metrics = config, turning, metrics
        self._url = _address(config.url, "heartbeat.url")
        self._fail_url = _address(config.fail_url, "heartbeat.fail_url")

    async def beat(self) -> None:
        """Send it if it is due and ours to send. What goes wrong is logged; the next time is soon."""
        if self._url is None and self._fail_url is None:
            return
        fault, now = await self._turning(), self._clock.now()
        take = partial(self._take, fault=fault, now=now)
        try:
            if not await self._store.read(partial(self._due, fault=fault, now=now)):
                return
            turn = await self._store.write(take)
        except StoreError as error:
            log.error("no sign of life: the store is not well", stage="audit", error=str(error))
            return
        if turn is None:
            return
        if turn.fault is not None:
            log.error("no sign of life: all is not well", stage="audit", fault=turn.fault)
        said, url = ("alive", self._url) if turn.fault is None else ("trouble", self._fail_url)
        sent = url is None or await self._sent(url, said)
        if turn.fault is not None or not sent:
            await self._sooner(now)

    async def _due(self, tx: Tx, fault: str | None, now: datetime) -> bool:
        """Whether the turn is there to be taken, by one whose worker may have a `fault`."""
        kept = await tx.switches.get(SWITCH)
        if kept is None:
            return fault is None
        late = timedelta() if fault is None else self._config.every
        return datetime.fromisoformat(kept) + late <= now

    async def _take(self, tx: Tx, fault: str | None, now: datetime) -> _Turn | None:
        """Take the turn, look whether all is well, and say when the next is due; None when another took it."""
        if not await self._due(tx, fault, now):
            return None
        kept = await tx.switches.get(SWITCH)
        after = datetime.fromisoformat(kept) + self._config.every if kept is not None else now
        due = after if after > now else now + self._config.every  # keeps time, and makes up for none
        await tx.switches.set(SWITCH, due.isoformat())
        return _Turn(fault or await self._left_lying(tx, now))

    async def _left_lying(self, tx: Tx, now: datetime) -> str | None:
        """Say what has been due for too long and nobody is at it; None when nothing is."""
        _, overdue = await tx.work.overdue(now)
        _, waiting = await tx.deliveries.pending()
        bound = now - self._config.overdue
        if overdue is not None and overdue < bound:
            return f"work is overdue by {(now - overdue).total_seconds():.0f} s"
        if waiting is not None and waiting < bound:
            return f"a delivery has waited for {(now - waiting).total_seconds():.0f} s"
        return None

    async def _sent(self, url: object, said: str) -> bool:
        """Call the service elsewhere once; `said` is what that tells it."""
        call = Call(
            run_id=SWITCH,
            path=SWITCH,
            attempt=1,
            action="http.request",
            key=SWITCH,
            params={"url": url},
            mode=Mode.ACT,
            timeout=min(_LONGEST_CALL, self._config.every),
        )
        outcome = await self._performer.perform(call)
        sent = outcome.state is OutcomeState.SUCCEEDED
        kind = outcome.failure.kind if outcome.failure is not None else outcome.state.value
        self._metrics.beats.labels(said if sent else kind).inc()
        if not sent:  # the failure's words may hold the address, which is a secret
            log.warning("the sign of life did not get through", stage="audit", reason=kind)
        return sent

    async def _sooner(self, now: datetime) -> None:
        """Make the next one due before its time."""
        due = now + self._config.every / _AGAIN_AFTER
        try:
            await self._store.write(lambda tx: tx.switches.set(SWITCH, due.isoformat()))
        except StoreError as error:
            log.error("no sign of life: the store is not well", stage="audit", error=str(error))


def _address(url: SecretStr | None, setting: str) -> object:
    """Return a URL with the places of its secrets, to be filled in at each call; None when there is none."""
    if url is None:
        return None
    try:
        return compile_template(url.get_secret_value()).render(Scope({}))
    except (LanguageError, EvaluationError):
        message = f"setting '{setting}': only `${{secret.NAME}}` may stand in it"
        raise SettingsError(message) from None
