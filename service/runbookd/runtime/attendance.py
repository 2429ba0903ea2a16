"""Whether this replica hears of work that others leave, and has its name for itself, as the store last told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from runbookd.runtime.metrics import Metrics

log = structlog.get_logger()


class Attendance:
    """Keeps what was told last: for the log when it changes, for a metric each time, and for `/readyz`.

    It is a warning there: work is looked for every second without being told, and done all the same.
    """

    def __init__(self, metrics: Metrics) -> None:
        """All is well until something else is told."""
        self._metrics = metrics
        self._trouble: str | None = None

    def told(self, trouble: str | None) -> None:
        """Note what is wrong; None when nothing is."""
        if trouble is not None:
            self._metrics.attendance_failures.inc()
        if trouble == self._trouble:
            return
        if trouble is None:
            log.info("the replica hears of work and has its name", stage="execute")
        else:
            log.error("the replica is not well attended", stage="execute", error=trouble)
        self._trouble = trouble

    def trouble(self) -> str | None:
        """Return what is wrong now; None when nothing is."""
        return self._trouble
