"""PagerDuty: pages, notes, and who is on call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbookd.actions.base import AnyAction

ACTIONS: tuple[AnyAction, ...] = ()
