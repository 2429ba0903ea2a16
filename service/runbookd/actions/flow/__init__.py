"""Provider `flow`: steps that say something or end the run. They touch nothing outside."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.flow import fail, log

ACTIONS: tuple[AnyAction, ...] = (fail.ACTION, log.ACTION)
