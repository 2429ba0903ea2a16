"""Provider `webhook`: telling others by signed HTTP. Who stands under `actions.webhooks` in the settings."""

from __future__ import annotations

from runbookd.actions.base import AnyAction
from runbookd.actions.webhook import send

ACTIONS: tuple[AnyAction, ...] = (send.ACTION,)
