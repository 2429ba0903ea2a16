"""Watches rules and playbooks, and swaps them whole when they are good; bad edits change nothing and are said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
import watchfiles

from runbookd.errors import ContentError, RunbookdError, StoreError
from runbookd.model.audit import Entry, Stage
from runbookd.runtime.in_force import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runbookd.model.library import Library
    from runbookd.pipeline import Pipeline
    from runbookd.ports import Clock, Store, Tx
    from runbookd.runtime.metrics import Metrics
    from runbookd.units.desk import Desk

log = structlog.get_logger()


_WATCHING: dict[str, Any] = {"watch_filter": None, "debounce": 200, "step": 50, "rust_timeout": 1000}
"""How changes are gathered, in milliseconds."""


class Reloader:
    """Reloads on change. `load` reads everything anew and raises ContentError for anything wrong."""

    def __init__(
        self, load: Callable[[], Library], pipeline: Pipeline, store: Store, clock: Clock, metrics: Metrics
    ) -> None:
        """Nothing is watched before `watch`."""
        self._load, self._pipeline, self._store, self._clock = load, pipeline, store, clock
        self._metrics = metrics
        self.refused: str | None = None
        """The first problem of the content on disk, which was refused; None when what is in force is what is there."""

    async def watch(self, folders: Sequence[Path], stop: asyncio.Event) -> None:
        """Reload after every change under the folders, until `stop` is set.

        Kubernetes swaps a mounted ConfigMap by renaming a link named `..data`, so every name counts. A folder that
        is itself replaced (by a checkout, or by a link above it) is another one under the same name, which only
        looking at it tells: that is done once a second, and the new one is watched then.
        """
        watched = _identities(folders)
        while not stop.is_set():
            there = [folder for folder in folders if folder.is_dir()]
            async for changes in watchfiles.awatch(
                *there, stop_event=stop, yield_on_timeout=True, **_WATCHING
            ):
                found = _identities(folders)
                if changes or found != watched:
                    await self.reload()
                if found != watched:
                    watched = found
                    break

    async def reload(self) -> bool:
        """Load, check and swap; False when the new content was refused, or is what is in force already."""
        try:
            desk = await asyncio.to_thread(self._anew)
        except RunbookdError as error:
            problems = (
                [str(one) for one in error.problems] if isinstance(error, ContentError) else [str(error)]
            )
            more = f" (and {len(problems) - 1} more; `runbookd check`)" if len(problems) > 1 else ""
            self.refused = f"{problems[0]}{more}"
            self._metrics.reloads.labels("refused").inc()
            log.error(
                "reload refused; the rules and playbooks in force go on", stage="match", problems=problems
            )
            await self._record("reload_refused", {"problems": problems})
            return False
        self.refused = None
        if desk is None:
            return False
        self._pipeline.desk = desk
        library = desk.library
        self._metrics.reloads.labels("accepted").inc()
        log.info("reloaded", stage="match", content=library.version, rules=len(library.rules))
        await self._record(
            "reloaded", {"content": library.version, "rules": len(library.rules)}, taken=library
        )
        return True

    def _anew(self) -> Desk | None:
        """Load and compile everything, on a thread of its own; None when it is what is in force already."""
        library, desk = self._load(), self._pipeline.desk
        return None if library.version == desk.library.version else desk.using(library)

    async def _record(self, what: str, detail: dict[str, object], taken: Library | None = None) -> None:
        """Write it to the ledger, and what was taken beside it."""
        entry = Entry(at=self._clock.now(), stage=Stage.MATCH, what=what, detail=detail)

        async def unit(tx: Tx) -> None:
            await tx.ledger.append([entry])
            if taken is not None:
                await keep(tx, taken)

        try:
            await self._store.write(unit)
        except StoreError as error:
            log.error("the reload could not be written to the ledger", stage="audit", error=str(error))


def _identities(folders: Sequence[Path]) -> list[tuple[int, int] | None]:
    """What stands under each folder's name: its device and inode; None when nothing does."""
    found: list[tuple[int, int] | None] = []
    for folder in folders:
        try:
            status = folder.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_dev, status.st_ino))
    return found
