"""What a service tells of itself while it lives, as a switch `service:NAME`, for whoever looks at the database."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from runbookd.errors import StoreError
from runbookd.runtime.in_force import keep

if TYPE_CHECKING:
    from runbookd.model.library import Library
    from runbookd.ports import Clock, Store, Tx

log = structlog.get_logger()

PREFIX = "service:"
"""How the switches begin; the replica's name follows."""

SILENT_AFTER = timedelta(seconds=20)
"""A service that was not seen for so long does not run: it beats every five seconds."""

FORGOTTEN_AFTER = timedelta(days=7)
"""How long a service that is gone is remembered; replicas in Kubernetes have a new name each time."""


class Service(BaseModel):
    """One service as it told of itself last.

    `stopped_at` is None while it runs, and after it was killed: then `last_seen` stands still. `refused` is the first
    problem of a reload that was refused since the rules and playbooks in force were taken; None when none was.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str
    version: str
    mode: str
    address: str
    content: str
    started_at: datetime
    last_seen: datetime
    stopped_at: datetime | None = None
    refused: str | None = None

    def runs(self, now: datetime) -> bool:
        """Whether it is alive, as far as the database knows."""
        return self.stopped_at is None and now - self.last_seen <= SILENT_AFTER


class Presence:
    """Keeps a service's switch true, and its content there for commands to read.

    `look` returns the content in force, and what `Service.refused` is.
    """

    def __init__(
        self,
        store: "Store",
        clock: "Clock",
        service: Service,
        look: "Callable[[], tuple[Library, str | None]]",
    ) -> None:
        """Nothing is written before `begin`."""
        self._store, self._clock, self._service, self._look = store, clock, service, look
        self._kept: str | None = None  # the version, so that replicas do not take turns with what each has

    async def begin(self) -> None:
        """Say that it runs, and forget services that are long gone."""

        async def unit(tx: "Tx") -> None:
            now = self._clock.now()
            for one in await services(tx):
                if now - one.last_seen > FORGOTTEN_AFTER:
                    await tx.switches.set(f"{PREFIX}{one.name}", None)

        await self._try(unit)
        await self.beat()

    async def beat(self) -> None:
        """Say that it still runs, and on what content."""
        library, refused = self._look()
        seen = {"last_seen": self._clock.now(), "content": library.version, "refused": refused}
        fresh = None if self._kept == library.version else library
        if await self._say(self._service.model_copy(update=seen), fresh):
            self._kept = library.version

    async def end(self) -> None:
        """Say that it stopped of its own will."""
        now = self._clock.now()
        await self._say(self._service.model_copy(update={"last_seen": now, "stopped_at": now}))

    async def _say(self, service: Service, content: "Library | None" = None) -> bool:
        """Write what it tells of itself, with content that is new; whether that is done."""
        self._service = service

        async def unit(tx: "Tx") -> None:
            await tx.switches.set(f"{PREFIX}{service.name}", service.model_dump_json())
            if content is not None:
                await keep(tx, content)

        return await self._try(unit)

    async def _try(self, unit: "Callable[[Tx], Awaitable[None]]") -> bool:
        """Write; a service that cannot goes on, and is taken for silent."""
        try:
            await self._store.write(unit)
        except StoreError as error:
            log.warning("heartbeat cannot be written", stage="audit", error=str(error))
            return False
        return True


async def services(tx: "Tx") -> list[Service]:
    """Return every service that told of itself, the one seen last coming first."""
    found = []
    for value in (await tx.switches.beginning(PREFIX)).values():
        try:
            found.append(Service.model_validate_json(value))
        except ValidationError:  # another version's
            continue
    return sorted(found, key=lambda one: one.last_seen, reverse=True)
