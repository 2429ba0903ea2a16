"""Provider `command`: run a program the operator has listed under `actions.commands` in the settings."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.command import run

ACTIONS: tuple[AnyAction, ...] = (run.ACTION,)
