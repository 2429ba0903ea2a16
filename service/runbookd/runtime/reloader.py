"""Watches rules and playbooks, and swaps them whole when they are good; bad edits change nothing and are said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
import watchfiles

from runbookd.errors import ContentError, StoreError
from runbookd.model.audit import Entry, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runbookd.model.library import Library
    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store
    from runbookd.runtime.metrics import Metrics

log = structlog.get_logger()


class Reloader:
    """Reloads on change. `load` reads everything anew and raises ContentError for anything wrong."""

    def __init__(
        self, load: Callable[[], Library], pipeline: Pipeline, store: Store, clock: Clock, metrics: Metrics
    ) -> None:
        """Nothing is watched before `watch`."""
        self._load, self._pipeline, self._store, self._clock = load, pipeline, store, clock
        self._metrics = metrics

    async def watch(self, folders: Sequence[Path], stop: asyncio.Event) -> None:
        """Reload after every change under the folders, until `stop` is set.

        Kubernetes swaps a mounted ConfigMap by renaming a link named `..data`, so every name counts.
        """
        async for _ in watchfiles.awatch(*folders, stop_event=stop, watch_filter=None, debounce=200, step=50):
            await self.reload()

    async def reload(self) -> bool:
        """Load, check and swap; False when the new content was refused, or is what is in force already."""
        try:
            library = await asyncio.to_thread(self._load)
        except ContentError as error:
            self._metrics.reloads.labels("refused").inc()
            log.error(
                "reload refused; the rules and playbooks in force go on", stage="match", problems=str(error)
            )
            await self._record("reload_refused", {"problems": [str(one) for one in error.problems]})
            return False
        if library.version == self._pipeline.desk.library.version:
            return False
        self._pipeline.desk = self._pipeline.desk.using(library)
        self._metrics.reloads.labels("accepted").inc()
        log.info("reloaded", stage="match", content=library.version, rules=len(library.rules))
        await self._record("reloaded", {"content": library.version, "rules": len(library.rules)})
        return True

    async def _record(self, what: str, detail: dict[str, object]) -> None:
        entry = Entry(at=self._clock.now(), stage=Stage.MATCH, what=what, detail=detail)
        try:
            await self._store.write(lambda tx: tx.ledger.append([entry]))
        except StoreError as error:
            log.error("the reload could not be written to the ledger", stage="audit", error=str(error))
