"""Provider `email`: mail. The server that takes it stands under `actions.email` in the settings."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.email import send

ACTIONS: tuple[AnyAction, ...] = (send.ACTION,)
