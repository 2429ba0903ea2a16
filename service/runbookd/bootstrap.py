"""The service: the wired engine with its doors, clockwork and signs of life. The only file that knows everyone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd import __version__
from runbookd.actions.catalogue import ActionCatalogue
from runbookd.content.load import again, load
from runbookd.errors import ContentError, SettingsError
from runbookd.model.audit import Entry, Stage
from runbookd.model.work import WorkKind
from runbookd.pipeline import Ports
from runbookd.runtime.clock import AGREE_EVERY, SystemClock
from runbookd.runtime.in_force import kept
from runbookd.runtime.retention import EVERY, FIRST_AFTER, REF
from runbookd.runtime.safekeeping import Safekeeping
from runbookd.runtime.secrets import FilesAndEnvironment
from runbookd.wiring import Parts, open_database, wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.web import AppRunner
    from prometheus_client import CollectorRegistry

    from runbookd.model.library import Library
    from runbookd.model.work import Work
    from runbookd.reports.public_incidents import PublicPages
    from runbookd.runtime.attendance import Attendance
    from runbookd.runtime.checkpoints import Checkpoints
    from runbookd.runtime.metrics import Metrics
    from runbookd.runtime.presence import Presence
    from runbookd.runtime.reloader import Reloader
    from runbookd.runtime.scheduler import Scheduler
    from runbookd.settings import Settings
    from runbookd.web.health import Warn

log = structlog.get_logger()

_LAST_CHECKPOINT = 3.0
"""Seconds for the checkpoint at the stop, which waits for no bucket that does not answer."""


def preflight(settings: Settings) -> None:
    """Read every file of keys and credentials that the service will need, so that a mistake is told before it begins.

    Raises SettingsError and NotFound.
    """
    from runbookd.actions.kubernetes.kubeconfig import faults
    from runbookd.web.app import hook_doors
    from runbookd.web.auth import tokens
    from runbookd.web.server import tls_context

    hook_doors(settings.web)
    tokens(settings.web.api_tokens)
    if settings.web.tls is not None:
        tls_context(settings.web.tls)
    secrets = FilesAndEnvironment(settings.secrets_folder)
    Safekeeping(settings.ledger, settings.aws, secrets).signer()
    if settings.reconcile.bearer_secret is not None:
        secrets.get(settings.reconcile.bearer_secret)
    if found := faults(settings.actions.kubernetes):
        raise SettingsError("\n".join(found))


async def serve(settings: Settings, stop: asyncio.Event, ready: Callable[[str], None] | None = None) -> None:
    """Run the service until `stop` is set, then stop gracefully. Raises what `wire` raises.

    `ready` is told the address once the service listens. Where the files are broken it begins with what was in force
    last: an incident that is open must not wait until somebody has mended them.
    """
    # The doors' libraries are not for the CLI's other commands to pay for.
    from prometheus_client import CollectorRegistry

    from runbookd.runtime.attendance import Attendance
    from runbookd.runtime.limits import only_server_of, raise_open_files
    from runbookd.runtime.metrics import Metrics
    from runbookd.runtime.reloader import Reloader
    from runbookd.runtime.scheduler import HEARTBEAT

    preflight(settings)
    raise_open_files()
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    async with AsyncExitStack() as stack:
        if settings.database_url is None:
            stack.enter_context(only_server_of(settings.database))
        library, broken = await _to_begin_with(settings)
        parts = await stack.enter_async_context(wire(settings, library, watch=metrics))
        attendance = Attendance(metrics)
        await _join(parts, attendance)
        checkpoints = parts.keeping.checkpoints(parts.store, parts.clock, metrics)
        scheduler = _sweeps(parts, metrics, checkpoints)
        reloader = Reloader(parts.load, parts.pipeline, parts.store, parts.clock, metrics)
        if broken:
            await reloader.reload()  # tells of the mistakes wherever a refused edit is told
        warnings = {"reload": lambda: reloader.refused, "replica": attendance.trouble}
        runner = await _listen(parts, registry, warnings)
        stack.push_async_callback(runner.cleanup)
        scheduler.start()
        stack.callback(scheduler.stop)
        tasks = {asyncio.create_task(parts.worker.run(), name="worker")}
        if settings.reload:
            folders = [folder for folder in (*settings.rules, *settings.playbooks) if folder.is_dir()]
            tasks.add(asyncio.create_task(reloader.watch(folders, stop), name="reloader"))
        presence = _presence(parts, _address(parts, runner), reloader)
        await presence.begin()
        scheduler.every(HEARTBEAT, presence.beat)
        await _started(parts, _address(parts, runner), ready)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        log.info("stopping", stage="execute", within=settings.stop_within.total_seconds())
        await runner.cleanup()
        await parts.worker.stop(settings.stop_within)
        await asyncio.gather(*tasks, stopped)
        if checkpoints is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_CHECKPOINT):
                    await checkpoints.sign()
        await presence.end()
        log.info("stopped", stage="execute")


async def _to_begin_with(settings: Settings) -> tuple[Library, bool]:
    """Read the files; where they are broken, return what was in force last, and True. Raises ContentError."""
    try:
        return load(settings.rules, settings.playbooks, ActionCatalogue(settings.actions)), False
    except ContentError as error:
        store = await open_database(settings, settings.name)
        try:
            texts = await store.read(kept)
        finally:
            await store.close()
        if texts is None:
            raise
        log.error(
            "the files are broken; the service begins with what was in force last",
            stage="match",
            error=str(error),
        )
        return again(texts), True


async def _join(parts: Parts, attendance: Attendance) -> None:
    """Take part in the work on this database, beginning with what an earlier life of this replica left."""
    name = parts.settings.name
    if not await parts.store.attend(name, parts.worker.wake, attendance.told):
        return  # it may be one that nobody can reach any more: its claims are left to run out
    inherited = await parts.store.write(lambda tx: tx.work.inherit(name))
    if inherited:
        log.info("work of an earlier life released", stage="execute", rows=inherited)


def _sweeps(parts: Parts, metrics: Metrics, checkpoints: Checkpoints | None) -> Scheduler:
    """Set the clockwork: the service's own sweeps, and those that are configured."""
    from runbookd.runtime.heartbeat import Heartbeat
    from runbookd.runtime.scheduler import HEARTBEAT, Scheduler, heartbeat, make_due
    from runbookd.runtime.schedules import Schedules
    from runbookd.runtime.watchdogs import listening

    scheduler = Scheduler()
    scheduler.every(HEARTBEAT, heartbeat(parts.store, parts.clock, metrics), at_once=True)
    if isinstance(parts.clock, SystemClock):
        scheduler.every(AGREE_EVERY, partial(parts.clock.agree, parts.store))
    parts.pruner()  # a key that cannot be read is told at the start, not at night
    prune = make_due(parts.store, parts.clock, WorkKind.PRUNE, REF)
    scheduler.every(EVERY, prune, first_after=FIRST_AFTER)
    if checkpoints is not None:
        scheduler.every(parts.settings.ledger.checkpoint_every, checkpoints.sign)
    scheduler.every(HEARTBEAT, listening(parts.store, parts.clock, parts.pipeline), at_once=True)
    schedules = Schedules(parts.store, parts.clock, parts.pipeline, scheduler.once)
    scheduler.every(HEARTBEAT, schedules.look, at_once=True)
    ports = Ports(parts.store, parts.performer, parts.clock)
    scheduler.every(HEARTBEAT, Heartbeat(ports, parts.settings.heartbeat, parts.worker.turning, metrics).beat)
    asked = parts.settings.reconcile
    if asked.alertmanagers:
        parts.worker.handlers[WorkKind.RECONCILE] = _reconcile(parts)
        sweep = make_due(parts.store, parts.clock, WorkKind.RECONCILE, "alertmanager")
        scheduler.every(asked.every, sweep, at_once=True)
    return scheduler


def _reconcile(parts: Parts) -> Callable[[Work], Awaitable[None]]:
    """Return the handler that asks Alertmanager what fires."""
    from runbookd.pollers.alertmanager import AlertmanagerReconciler

    asked = parts.settings.reconcile
    headers = {}
    if asked.bearer_secret is not None:
        token = FilesAndEnvironment(parts.settings.secrets_folder).get(asked.bearer_secret)
        headers["Authorization"] = f"Bearer {token}"
    reconciler = AlertmanagerReconciler(parts.pipeline, asked.alertmanagers, headers)

    async def ask(work: Work) -> None:
        await reconciler.ask()
        await parts.store.write(lambda tx: tx.work.finish(work))

    return ask


async def _listen(parts: Parts, registry: CollectorRegistry, warnings: Mapping[str, Warn]) -> AppRunner:
    """Open the HTTP door; `warnings` are what `/readyz` tells beside its checks."""
    from runbookd.runtime.people import People
    from runbookd.web.app import Inside, create_app
    from runbookd.web.health import content_loaded, queue_young, store_writable
    from runbookd.web.server import serve as listen

    settings = parts.settings
    checks = {
        "store": store_writable(parts.store, parts.clock),
        "queue": queue_young(parts.store, parts.clock, settings.queue_limit),
        "content": content_loaded(lambda: bool(parts.pipeline.desk.rules.named)),
        "worker": parts.worker.turning,
        "deliveries": parts.pipeline.taking,
    }
    people = People(parts.store, parts.clock, parts.pipeline)
    inside = Inside(parts.pipeline, people, parts.clock, _public_pages(parts))
    app = create_app(settings.web, inside, checks=checks, registry=registry, warnings=warnings)
    return await listen(app, settings.web)


def _public_pages(parts: Parts) -> PublicPages | None:
    """Return what makes the public status page; None when it is not to be shown."""
    web = parts.settings.web
    if not web.status_page:
        return None
    from runbookd.reports.public_incidents import PublicPages

    address = f"http://{web.host}:{web.port}/status"
    return PublicPages(parts.store, parts.clock, lambda: parts.pipeline.desk, address)


def _address(parts: Parts, runner: AppRunner) -> str:
    """Return where the service listens."""
    host, port = runner.addresses[0][:2]
    scheme = "https" if parts.settings.web.tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _presence(parts: Parts, address: str, reloader: Reloader) -> Presence:
    """Return what tells those who look at the database that this service lives."""
    from runbookd.runtime.presence import Presence, Service

    now = parts.clock.now()
    service = Service(
        name=parts.settings.name,
        version=__version__,
        mode=parts.settings.mode.value,
        address=address,
        content=parts.pipeline.desk.library.version,
        started_at=now,
        last_seen=now,
    )
    return Presence(
        parts.store,
        parts.clock,
        service,
        lambda: (parts.pipeline.desk.library, reloader.refused),
    )


async def _started(parts: Parts, address: str, ready: Callable[[str], None] | None) -> None:
    """Say that the service is there, in the log and the ledger."""
    library = parts.pipeline.desk.library
    detail = {
        "version": __version__,
        "content": library.version,
        "rules": len(library.rules),
        "playbooks": len(library.playbooks),
        "mode": parts.settings.mode.value,
        "replica": parts.settings.name,
    }
    entry = Entry(at=parts.clock.now(), stage=Stage.AUDIT, what="started", detail=detail)
    await parts.store.write(lambda tx: tx.ledger.append([entry]))
    log.info("started", stage="audit", address=address, **detail)
    parts.warn(library)
    if ready is not None:
        ready(address)
