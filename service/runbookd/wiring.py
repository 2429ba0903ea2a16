"""The fuse box: settings in, a wired engine out. Commands use it as it is; `bootstrap` puts the doors on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from runbookd.actions.catalogue import ActionCatalogue
from runbookd.actions.performer import CataloguePerformer
from runbookd.content.load import load
from runbookd.model.work import WorkKind
from runbookd.pipeline import Pipeline, Ports
from runbookd.reports.review_draft import draft
from runbookd.runtime.clock import SystemClock
from runbookd.runtime.ids import Ulids
from runbookd.runtime.outbox import Outbox
from runbookd.runtime.retention import Pruner
from runbookd.runtime.safekeeping import Safekeeping
from runbookd.runtime.secrets import FilesAndEnvironment
from runbookd.runtime.surroundings import kubeconfig
from runbookd.runtime.worker import Worker
from runbookd.stages.normalize import DEFAULT_LIMITS
from runbookd.store import sqlite_reader
from runbookd.store.sqlite import open_sqlite
from runbookd.units.desk import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from runbookd.model.library import Library
    from runbookd.ports import Clock, Store
    from runbookd.settings import Settings
    from runbookd.units.watch import Watch

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A wired engine: everything but the doors. The CLI uses it as it is; `serve` puts the doors on."""

    settings: Settings
    store: Store
    clock: Clock
    catalogue: ActionCatalogue
    performer: CataloguePerformer
    pipeline: Pipeline
    worker: Worker
    ids: Ulids
    keeping: Safekeeping

    def load(self) -> Library:
        """Read rules and playbooks anew, and warn of what the settings lack for them. Raises ContentError."""
        library = load(self.settings.rules, self.settings.playbooks, self.catalogue)
        self.warn(library)
        return library

    def warn(self, library: Library) -> None:
        """Log every call and message of this content that would be refused for want of something."""
        from runbookd.reports.unmet import unmet
        from runbookd.reports.wanting import Here, wanting

        here = Here(kubeconfig=kubeconfig(), secrets=FilesAndEnvironment(self.settings.secrets_folder))
        for problem in (
            *unmet(library, self.catalogue, self.settings.actions, here.kubeconfig),
            *wanting(library, self.settings.actions, here),
        ):
            log.warning("what the content asks for is not there", stage="match", problem=str(problem))

    def pruner(self) -> Pruner:
        """Make what forgets by age. Raises SettingsError and NotFound when the key for archives cannot be read."""

        def longest_window() -> timedelta:
            return self.pipeline.desk.library.longest_window()  # that in force then: a reload replaces it

        return Pruner(
            self.store,
            self.clock,
            self.settings.retention.ages(),
            self.keeping.archiving(),
            longest_window=longest_window,
            lease=self.settings.lease,
        )


@asynccontextmanager
async def wire(
    settings: Settings,
    library: Library | None = None,
    clock: Clock | None = None,
    watch: Watch | None = None,
    *,
    migrate: bool = True,
    chain: str | None = None,
) -> AsyncIterator[Parts]:
    """Put the engine together, and take it apart again.

    `library` None reads the folders in the settings; `clock` None is the machine's, set by the database's. Without
    `migrate` a schema that is not this version's, or not there, is refused and left as it is. `chain` is the ledger's
    on Postgres; None is the replica's own. Raises ContentError, SettingsError, StoreError.
    """
    own = SystemClock()
    clock = clock or own
    ids = Ulids()
    catalogue = ActionCatalogue(settings.actions)
    library = library or load(settings.rules, settings.playbooks, catalogue)
    async with AsyncExitStack() as stack:
        store = await open_database(settings, chain or settings.name, migrate=migrate)
        stack.push_async_callback(store.close)
        await own.agree(store)
        secrets = FilesAndEnvironment(settings.secrets_folder)
        performer = CataloguePerformer(catalogue, secrets, clock)
        stack.push_async_callback(performer.close)
        keeping = Safekeeping(settings.ledger, settings.aws, secrets, watch)
        stack.push_async_callback(keeping.close)
        ports = Ports(store, performer, clock)
        pipeline = Pipeline(ports, _desk(settings, library, ids), watch)
        worker = Worker(store, clock, pipeline, owner=f"{settings.name}/{ids.new('w')}", slots=settings.slots)
        parts = Parts(
            settings=settings,
            store=store,
            clock=clock,
            catalogue=catalogue,
            performer=performer,
            pipeline=pipeline,
            worker=worker,
            ids=ids,
            keeping=keeping,
        )
        worker.handlers[WorkKind.SEND] = Outbox(ports, pipeline, watch).send
        worker.handlers[WorkKind.PRUNE] = lambda work: parts.pruner().handle(work)
        yield parts


async def open_database(settings: Settings, chain: str, *, migrate: bool = True) -> Store:
    """Open the database the settings name, for this chain of the ledger on Postgres. Raises StoreError."""
    if settings.database_url is None:
        if not migrate:
            await asyncio.to_thread(sqlite_reader.check, settings.database)
        return await open_sqlite(settings.database, queue=settings.database_queue)
    from runbookd.store.postgres import open_postgres

    url = settings.database_url.get_secret_value()
    stall = min(5.0, settings.lease.total_seconds() / 4)
    return await open_postgres(url, chain=chain, queue=settings.database_queue, stall=stall, migrate=migrate)


def _desk(settings: Settings, library: Library, ids: Ulids) -> Desk:
    return replace(
        Desk.of(library, ids),
        reach=settings.reach.bounds(),
        mode=settings.mode,
        lease=settings.lease,
        forget_after=settings.reconcile.forget_after,
        limits=replace(DEFAULT_LIMITS, depth=settings.web.max_depth),
        people=settings.web.people.by_source(),
        watchdogs={(each.source, each.alert): each for each in settings.watchdogs},
        draft=draft,
    )
