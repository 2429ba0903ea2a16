"""Provider `evidence`: keep something with the run, whatever becomes of it."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.evidence import save

ACTIONS: tuple[AnyAction, ...] = (save.ACTION,)
