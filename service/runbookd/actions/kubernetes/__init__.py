"""Provider `kubernetes`: looking at clusters and changing them.

Which clusters there are, and what is protected in them, stands under `actions.kubernetes` in the settings.
"""

from __future__ import annotations

from runbookd.actions.base import AnyAction

ACTIONS: tuple[AnyAction, ...] = ()
