"""A disk that is full, fails or is read-only; a database that is locked, damaged in a row, or from a newer version."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from tests.chaos import mounts, scene
from tests.chaos.mounts import Disk, Mounting, NotAllowedError
from tests.chaos.one_process import SETTINGS
from tests.servers import answers, eventually, temporary_folder
from tests.service import COMMAND, Service, notification, service

NAME = "disk"
PADDING = "x" * 4096
READ_ONLY = (
    *("unshare", "-m", "sh", "-c"),
    'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && "$@"',
    "sh",
)
"""Runs a command that sees a folder as read-only, in a namespace of its own."""


class Sender:
    """Tells of hosts, remembering which were acknowledged."""

    def __init__(self, it: Service, url: str) -> None:
        """`url` is the server that playbooks act upon."""
        self._it, self._url = it, url
        self.told: list[str] = []
        self.number = 0

    async def post(self) -> tuple[int, str | None, str]:
        """One alert; the status, the Retry-After and the text of the answer."""
        self.number += 1
        host = f"d{self.number}"
        body = notification(scene.labels_of(self._url, host, "mend"))
        body["alerts"][0]["annotations"] = {"description": PADDING}
        headers = {"Authorization": f"Bearer {self._it.token}"}
        timeout = aiohttp.ClientTimeout(total=30)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self._it.hook, json=body, headers=headers) as answer,
        ):
            if answer.status == 202:
                self.told.append(host)
            return answer.status, answer.headers.get("Retry-After"), await answer.text()


async def disk(report: scene.Report, dice: Random, *, short: bool) -> None:
    """Each trouble by itself, on a service of its own."""
    await _trouble(report, dice, "no file may grow", ("disk", lambda it, _: no_room(it)))
    await _trouble(report, dice, "full", ("disk is full", lambda _, disk: disk.full()), mounts.small)
    if not short:
        await _trouble(report, dice, "locked", ("write lock", lambda it, _: locked(it)))
        await _failing(report, dice)
        await _read_only(report)
    await _corrupt_row(report, dice)
    await _newer(report)


@contextlib.contextmanager
def no_room(it: Service) -> Any:
    """No file of the process may grow any more: its log and its database are as on a full disk."""
    largest = max(path.stat().st_size for path in it.folder.rglob("*") if path.is_file())
    _, hard = resource.prlimit(it.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(it.pid, resource.RLIMIT_FSIZE, (largest // 4096 * 4096, hard))
    try:
        yield
    finally:
        resource.prlimit(it.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def locked(it: Service) -> Any:
    """Another process writes, and does not come to its end."""
    with contextlib.closing(sqlite3.connect(it.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def _trouble(
    report: scene.Report,
    dice: Random,
    kind: str,
    trouble: tuple[str, Callable[[Service, Any], AbstractContextManager[None]]],
    mounting: Mounting | None = None,
) -> None:
    """Work, then trouble, then none again: 503 meanwhile, nothing acknowledged is lost, and nobody helps.

    `trouble` is what senders are told of it, and how it comes about; `mounting` None is the machine's own disk.
    """
    name, (said, begins) = f"{NAME}: {kind}", trouble
    async with _skipping(report, name), _world(dice, mounting) as (it, sender, target, disk):
        for _ in range(20):
            await sender.post()
        with begins(it, disk):
            await _turned_away(report, name, it, sender, said)
        back = await _within(10, sender)
        report.hold(name, "deliveries are taken again within 10 s, by itself", kept=back)
        await _all_mended(report, name, it, sender, target)


async def _failing(report: scene.Report, dice: Random) -> None:
    """The file system stops to write in the middle of the work; it is repaired, and the service started anew."""
    name = f"{NAME}: failing"
    async with _skipping(report, name), _world(dice, mounts.breakable) as (it, sender, target, disk):
        assert disk is not None
        for _ in range(20):
            await sender.post()
        disk.fail()
        await _turned_away(report, name, it, sender, "disk")
        stopped = await it.stop(within=30)
        report.hold(name, "it can still be stopped", kept=stopped == 0, found=it.log[-300:])
        disk.repair(mounts.image_of(disk.folder))
        await it.start()
        await _all_mended(report, name, it, sender, target)


async def _turned_away(report: scene.Report, name: str, it: Service, sender: Sender, said: str) -> None:
    """What must hold as long as nothing can be kept."""
    refused = await _refused(sender)
    report.hold(name, "senders hear 503 with Retry-After", kept=refused is not None, found=refused)
    report.hold(name, "and why", kept=said in (refused or ""), found=refused)
    report.hold(name, "alive, and not ready", kept=await _alive_not_ready(it))


async def _refused(sender: Sender) -> str | None:
    """Post until one is refused as it should be; its text, None when none is."""
    for _ in range(500):
        status, retry_after, text = await sender.post()
        if status == 503 and retry_after:
            return text
        if status != 202:
            return None
    return None


async def _alive_not_ready(it: Service) -> bool:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{it.url}/readyz") as ready:
        return ready.status == 503 and await answers(f"{it.url}/healthz")


async def _within(seconds: float, sender: Sender) -> bool:
    async def taken() -> bool:
        return (await sender.post())[0] == 202

    with contextlib.suppress(AssertionError):
        await eventually(taken, within=seconds, every=0.1)
        return True
    return False


async def _all_mended(
    report: scene.Report, name: str, it: Service, sender: Sender, target: scene.Target
) -> None:
    """Every host that was acknowledged is mended, once; the ledger is whole."""
    lost: list[str] = []

    def mended() -> bool:
        lost[:] = [host for host in sender.told if target.made[host] == 0]
        return not lost

    with contextlib.suppress(AssertionError):
        await eventually(mended, within=60, every=0.2)
    report.row(name, "acknowledged", len(sender.told))
    report.nothing(name, "acknowledged and not mended", len(lost), lost[:5])
    report.nothing(name, "mutating calls made twice", target.twice)
    verified = await it.cli_json("audit", "verify")
    report.hold(name, "the ledger verifies", kept=bool(verified["ok"]), found=verified)


async def _read_only(report: scene.Report) -> None:
    """On a disk that is read-only the service says so and does not start; on a writable one it does."""
    name = f"{NAME}: read-only"
    async with service(rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=SETTINGS) as it:
        await it.stop()
        done = await asyncio.to_thread(
            subprocess.run,
            [*READ_ONLY, str(it.folder), *COMMAND, "--config", str(it.config), "serve"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.stderr.startswith(("mount:", "unshare:")):
            report.row(name, "skipped", "mounting is not allowed here")
            return
        clear = done.returncode != 0 and "read-only" in done.stderr.lower() and "Traceback" not in done.stderr
        report.hold(name, "it says so and ends", kept=clear, found=done.stderr[-300:])
        await it.start()
        report.hold(
            name, "it starts when the disk is writable", kept=await it.post(notification({"a": "b"})) == 202
        )


async def _corrupt_row(report: scene.Report, dice: Random) -> None:
    """One row of every table cannot be read: what it belongs to is given up and told, everything else goes on."""
    name = f"{NAME}: corrupt row"
    async with _world(dice) as (it, sender, target, _):
        await sender.post()
        await eventually(lambda: target.made["d1"], within=20)
        await it.stop()
        with contextlib.closing(sqlite3.connect(it.database)) as base, base:
            base.execute("INSERT INTO work (kind, ref, due_at) VALUES ('of-a-newer-version', 'x', 0)")
            base.execute(
                "INSERT INTO work (kind, ref, due_at) VALUES ('advance', 'run-that-is-not-there', 0)"
            )
            base.execute(
                "INSERT INTO work (kind, ref, due_at, lane) VALUES ('admit', 'gone', 0, 'admit alertmanager')"
            )
            base.execute(
                "INSERT INTO deliveries (id, source, received_at, sha256, headers, state, progress)"
                " VALUES ('torn', 'alertmanager', ?, '', '{', 'pending', 0)",
                (time.time_ns() // 1000,),
            )
            base.execute("INSERT INTO delivery_bodies (delivery_id, body) VALUES ('torn', x'00ff')")
            base.execute(
                "INSERT INTO work (kind, ref, due_at, lane) VALUES ('admit', 'torn', 0, 'admit alertmanager')"
            )
            base.execute(
                "INSERT INTO runs"
                " (id, playbook, plan_hash, mode, created_at, deadline_at, scope, key, rung, state, mutated)"
                " VALUES ('torn', 'mend', 'no-such-plan', 'act', 0, 0, '{', '', 0, 'running', 0)"
            )
            base.execute("INSERT INTO work (kind, ref, due_at, lane) VALUES ('advance', 'torn', 0, 'runs')")
        await it.start()
        for _ in range(10):
            await sender.post()
        await _all_mended(report, name, it, sender, target)
        report.hold(name, "it is alive", kept=await answers(f"{it.url}/healthz"))
        said = it.log
        report.hold(
            name, "the log names the rows", kept='"torn"' in said and "damaged" in said, found=said[-300:]
        )
        dead = "SELECT reason FROM deliveries WHERE id = 'torn' AND state = 'dead'"
        with contextlib.suppress(AssertionError):
            await it.until(dead, within=40)
        report.hold(name, "the delivery is a dead letter with its reason", kept=bool(it.rows(dead)))
        told = "SELECT 1 FROM ledger WHERE run_id = 'torn' AND what = 'internal_error'"
        report.hold(name, "the ledger tells of the run", kept=bool(it.rows(told)))


async def _newer(report: scene.Report) -> None:
    """A database that a newer version wrote is refused, unharmed."""
    name = f"{NAME}: newer version"
    async with service(rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=SETTINGS) as it:
        await it.stop()
        with contextlib.closing(sqlite3.connect(it.database)) as base, base:
            base.execute("INSERT INTO migrations (version, name, checksum) VALUES (999, 'future', 'x')")
        done = await it.cli("serve")
        clear = done.returncode != 0 and "newer" in done.stderr and "Traceback" not in done.stderr
        report.hold(name, "it says so and ends", kept=clear, found=done.stderr[-300:])
        with contextlib.closing(sqlite3.connect(it.database)) as base, base:
            base.execute("DELETE FROM migrations WHERE version = 999")
        await it.start()
        report.hold(name, "unharmed", kept=(await it.cli_json("audit", "verify"))["ok"])


@contextlib.asynccontextmanager
async def _skipping(report: scene.Report, name: str) -> AsyncIterator[None]:
    """Say so, where a machine does not let a scenario have what it needs."""
    try:
        yield
    except NotAllowedError as reason:
        report.row(name, "skipped: mounting is not allowed here", reason)


@contextlib.asynccontextmanager
async def _world(
    dice: Random, mounting: Mounting | None = None
) -> AsyncIterator[tuple[Service, Sender, scene.Target, Disk | None]]:
    """A service that runs, somebody who tells it of hosts, the server that mends them, and the database's own disk."""
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(scene.target(dice, slowest=0.02))
        folder = Path(stack.enter_context(temporary_folder("disk")))
        it = Service.at(folder, rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=SETTINGS)
        disk = None
        if mounting is not None:
            place = folder / "disk"
            place.mkdir()
            disk = await stack.enter_async_context(mounting(place))
            it.begun_by = disk.entering
            it.settings |= {"database": str(place / "runbookd.db")}
            it.configure()
        stack.push_async_callback(it.kill)
        yield await it.start(), Sender(it, target.url), target, disk
