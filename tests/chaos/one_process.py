"""One process on SQLite, killed again and again at random instants, under a stream of alerts."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.acceptance.nursery import Mortal, nursery
from tests.chaos import scene
from tests.chaos.stream import Ask, Stream, judge, resolved, settled
from tests.servers import alertmanager, temporary_folder
from tests.service import Service

NAME = "one process, SQLite"
SETTINGS: dict[str, Any] = {
    "lease": "2s",
    "reload": False,
    "log_level": "WARNING",
    "reach": {"budget": 1_000_000, "brake": 0, "target_cooldown": "0s"},
}
LONGEST_LIFE = 1.0
"""Seconds from one kill to the next, at most; a life may end before it serves."""


def asking(service: Service) -> Ask:
    """What asks this service's database."""

    async def ask(sql: str, *values: object) -> list[dict[str, Any]]:
        with contextlib.suppress(sqlite3.OperationalError):  # a dead process' log is being recovered
            return await asyncio.to_thread(service.rows, sql, *values)
        await asyncio.sleep(0.1)
        return await asyncio.to_thread(service.rows, sql, *values)

    return ask


async def one_process(report: scene.Report, dice: Random, *, kills: int) -> None:
    """Kill it so many times."""
    async with contextlib.AsyncExitStack() as stack:
        born_by = await stack.enter_async_context(nursery())
        folder = Path(stack.enter_context(temporary_folder("chaos")))
        service = Mortal.at(folder, rules=scene.RULES, playbooks=scene.PLAYBOOKS, settings=SETTINGS)
        service.nursery = born_by
        stack.push_async_callback(service.kill)
        target = await stack.enter_async_context(scene.target(dice))
        door = await stack.enter_async_context(scene.door(service.token, [service.url], dice))
        teller = await stack.enter_async_context(alertmanager(scene.alertmanager_config(door.url)))
        stream, over = Stream(teller, target, dice, pause=0.25), asyncio.Event()
        await service.start()
        flowing = asyncio.create_task(stream.flow(over))
        begun = time.monotonic()
        for number in range(kills):
            await asyncio.sleep(dice.uniform(0, LONGEST_LIFE))
            await service.kill()
            await service.start(ready=False)
            if number % 50 == 49:
                print(f"{number + 1} kills, {len(stream.hosts)} alerts", flush=True)
        seconds = time.monotonic() - begun
        over.set()
        await flowing
        ask = asking(service)
        try:
            await settled(ask, stream, within=90)
            await resolved(ask, stream, within=60)
        except AssertionError as error:
            report.hold(NAME, "work comes to its end", kept=False, found=error)
        report.row(NAME, "kill -9", f"{kills} in {seconds:.0f} s")
        await judge(report, NAME, ask, stream, door)
        verified = await service.cli_json("audit", "verify")
        report.hold(NAME, "the ledger verifies", kept=bool(verified["ok"]), found=verified)
