"""Listening for the alerts that always fire."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from runbookd.errors import StoreError
from runbookd.units.watchdogs import listen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store

log = structlog.get_logger()


def listening(store: Store, clock: Clock, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
    """Return the sweep that looks whether each watchdog is heard; one that is not becomes an event, once."""

    async def sweep() -> None:
        if not pipeline.desk.watchdogs:
            return
        try:
            silent = await store.write(partial(listen, desk=pipeline.desk, now=clock.now()))
        except StoreError as error:
            log.error("watchdogs cannot be looked at", stage="receive", error=str(error))
            return
        for watchdog in silent:
            log.error("nothing is heard", stage="receive", source=watchdog.source, watchdog=watchdog.alert)
        if silent:
            pipeline.wake()

    return sweep
